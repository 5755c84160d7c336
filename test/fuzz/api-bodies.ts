// Bodies that scripts send to the REST API: taken, or refused with a status and a reason.
import { RestError } from "../../media-node/api/rest/envelope.ts";
import { parsePullRequest } from "../../media-node/api/rest/pull-request.ts";
import { parseSendSubtitles } from "../../media-node/api/rest/send-subtitles.ts";

export const seeds = [
  '{"name":"stream","urls":["ovt://origin:9000/app/stream","rtsp://camera/live"],"properties":{"persistent":true}}',
  '{"name":"s","urls":["rtsp://camera/live"],"properties":{"noInputFailoverTimeoutMs":3000,"unusedStreamDeletionTimeoutMs":60000}}',
  '{"format":"webvtt","data":[{"label":"English","subtitles":[{"startOffset":0,"durationMs":1000,"settings":"line:0","text":"Hi"}]}]}',
  '{"__proto__":{"name":"x"},"name":"s","urls":[]}',
];

export function fuzz(input: Uint8Array): void {
  const text = Buffer.from(input).toString();
  for (const parse of [parsePullRequest, parseSendSubtitles]) {
    try {
      parse(text);
    } catch (thrown) {
      if (!(thrown instanceof RestError)) throw thrown;
    }
  }
}
