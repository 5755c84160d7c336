import { readdirSync, readFileSync } from "node:fs";
import { ProtocolError } from "../../media-node/flow/errors.ts";
import { acceptMedia } from "../../media-node/sdp/codec-choice.ts";
import { parseRemoteDescription } from "../../media-node/sdp/remote-description.ts";
import { parseSdp, serializeSdp } from "../../media-node/sdp/session-description.ts";

const kinds = [
  { kind: "video", codecs: ["h264", "h265", "vp8"] },
  { kind: "audio", codecs: ["opus", "pcmu"] },
] as const;

/** Any text is refused with a code, or can be negotiated with; what was read can be written and read again. */
export function fuzz(input: Uint8Array): void {
  const text = Buffer.from(input.buffer, input.byteOffset, input.length).toString("utf8");
  try {
    parseSdp(serializeSdp(parseSdp(text)));
    acceptMedia(parseRemoteDescription(text), kinds);
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
  }
}

const folder = new URL("../fixtures/sdp/", import.meta.url);

/** What random changes start from: the recorded offers of players. */
export const seeds: readonly string[] = readdirSync(folder)
  .filter((file) => file.endsWith(".sdp"))
  .map((file) => readFileSync(new URL(file, folder), "utf8"));
