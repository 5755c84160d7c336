// Whatever a subtitle file or a cue sample holds: bounded, typed errors, and what is written of it is read alike.
import assert from "node:assert/strict";
import {
  isCueSettings,
  parseCueSample,
  parseWebVtt,
  serializeCues,
  serializeCueSample,
  type Cue,
} from "../../media-node/codecs/webvtt.ts";
import { ProtocolError } from "../../media-node/flow/errors.ts";

export const seeds = [
  "WEBVTT\nLanguage: en\n\n1\n00:00:01.000 --> 00:00:03.500 line:80% align:center\n<b>two</b>\nlines\n\nNOTE x\n\n00:02.000 --> 00:04.000\nmore",
  "\ufeffWEBVTT - title\r\n\r\nSTYLE\r\n::cue {}\r\n\r\n99999:00:00.000 --> 99999:00:01.000\r\n안녕\r\n",
  "00:00:00.000 --> 00:00:00.000 line:10%\ntext",
  "plain text\nof a cue",
];

export function fuzz(input: Uint8Array): void {
  const body = parseCueSample(input);
  if (body) assert.deepEqual(parseCueSample(serializeCueSample(body)), body);
  let cues: readonly Cue[];
  try {
    ({ cues } = parseWebVtt(input));
  } catch (thrown) {
    if (thrown instanceof ProtocolError) return;
    throw thrown;
  }
  for (const { settings, text, startMs, endMs } of cues) {
    assert.ok((settings === "" || isCueSettings(settings)) && startMs < endMs);
    assert.ok(text !== "" && !/^\s*$/m.test(text) && !text.includes("-->"));
  }
  // Times beyond 26.5 hours come back modulo that.
  const short = cues.filter(({ endMs }) => endMs < 95_000_000);
  assert.deepEqual(parseWebVtt(serializeCues(short, 0)).cues, short);
}
