import { ProtocolError, SettingError } from "../../media-node/flow/errors.ts";
import { chooseChallenge } from "../../media-node/rtsp/rtsp-authentication.ts";
import { parseRtpInfo, parseSessionHeader, parseTransportHeader } from "../../media-node/rtsp/rtsp-headers.ts";
import { bodyLengthOf, parseRtspHead } from "../../media-node/rtsp/rtsp-message.ts";
import { controlBaseOf, parseRtspUrl, resolveControl } from "../../media-node/rtsp/rtsp-url.ts";

const url = parseRtspUrl("rtsp://user:secret@camera/live?a=b");

/** Any text as an RTSP head and as each header that is parsed further; only the room's own errors may come out. */
export function fuzz(input: Uint8Array): void {
  const text = new TextDecoder("latin1").decode(input);
  try {
    bodyLengthOf(parseRtspHead(text));
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
  }
  try {
    parseRtspUrl(text);
  } catch (thrown) {
    if (!(thrown instanceof SettingError)) throw thrown;
  }
  parseSessionHeader(text);
  parseTransportHeader(text);
  parseRtpInfo(text);
  chooseChallenge([text, `Digest ${text}`]);
  const uri = resolveControl(url, controlBaseOf(url, text), text);
  if (uri.includes("secret")) throw new Error("credentials leak into a request line");
}
