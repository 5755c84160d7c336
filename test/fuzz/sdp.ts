import { readFileSync } from "node:fs";
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

/** What random changes start from: the recorded offer of a GStreamer peer. */
export const seeds: readonly string[] = [
  readFileSync(new URL("../fixtures/sdp/gstreamer-offer.sdp", import.meta.url), "utf8"),
];
