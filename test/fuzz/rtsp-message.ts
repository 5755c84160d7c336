import { ProtocolError, SettingError } from "../../media-node/flow/errors.ts";
import { chooseChallenge } from "../../media-node/rtsp/rtsp-authentication.ts";
import { parseRtpInfo, parseSessionHeader, parseTransportHeader } from "../../media-node/rtsp/rtsp-headers.ts";
import { bodyLengthOf, parseRtspHead } from "../../media-node/rtsp/rtsp-message.ts";
import { controlBaseOf, parseRtspUrl, resolveControl } from "../../media-node/rtsp/rtsp-url.ts";

const url = parseRtspUrl("rtsp://user:secret@camera/live?a=b");

export const seeds = [
  "RTSP/1.0 200 OK\r\nCSeq: 4\r\nSession: 7;timeout=60\r\n \r\nContent-Length: 12\r\n",
  "DESCRIBE rtsp://camera:8554/live?a=b RTSP/1.0\r\nCSeq: 2\r\nAccept: application/sdp",
  "rtsp://user:p%40ss@[::1]:8554/live/trackID=1",
  'Digest realm="a b", nonce="c", opaque="d", qop="auth,auth-int", algorithm=SHA-256, stale=true, Basic realm="e"',
  'RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=457F5D91;mode="PLAY"',
  "RTP/AVP;unicast;client_port=4000-4001;server_port=5000-5001;source=192.0.2.1",
  "url=rtsp://camera/live/stream=0;seq=16924;rtptime=2776885272, url=stream=1;seq=4650;rtptime=2850850067",
];

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
