import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../flow/errors.ts";
import {
  cleanCueText,
  isCueSettings,
  maxCueBytes,
  parseCueSample,
  parseWebVtt,
  serializeCues,
  serializeCueSample,
} from "./webvtt.ts";

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test("a cue's text and settings pass through a sample, whatever line breaks they have", () => {
  for (const body of [
    { settings: "", text: "안녕 <i>Hearth</i>\nsecond line" },
    { settings: "line:80% align:center", text: "down here" },
  ]) {
    assert.deepEqual(parseCueSample(serializeCueSample(body)), body);
  }
  assert.deepEqual(parseCueSample(Buffer.from("one\r\ntwo\r\n")), { settings: "", text: "one\ntwo" });
  assert.deepEqual(
    parseCueSample(Buffer.from("WEBVTT\n\n7\n00:01.000 --> 00:02.000 line:0\nshown\n\nnot this")),
    { settings: "line:0", text: "shown" },
    "a whole file: its first cue, without identifier and times",
  );
});

test("samples without text, or with more than any screen holds, are no cues", () => {
  for (const text of ["", " \n\n", "00:00.000 --> 00:01.000\n\nafter", "x".repeat(maxCueBytes + 1)]) {
    assert.equal(parseCueSample(Buffer.from(text)), undefined);
  }
});

test("text from outside can neither end its cue nor begin another", () => {
  const text = cleanCueText("a\n\n00:00.000 --> 00:09.000\r\r\nb\0c");
  assert.equal(text, "a\n00:00.000 --&gt; 00:09.000\nb\ufffdc");
  const cue = { settings: "", text, startMs: 0, endMs: 1_000 };
  assert.equal(parseWebVtt(serializeCues([cue], 0)).cues.length, 1);
});

test("settings are pairs of name and value on one line", () => {
  for (const good of ["line:80%", "position:10%,line-left align:start\tsize:35%"]) assert.ok(isCueSettings(good), good);
  for (const bad of ["", "line", "a:b\nc", "a:-->", `a:${"b".repeat(300)}`, " line:1"])
    assert.ok(!isCueSettings(bad), bad);
});

test("a file is read with its header lines; notes, styles, identifiers and broken cues are left out", () => {
  const file = [
    "\ufeffWEBVTT a title",
    "Kind: captions",
    "Language: ko",
    "",
    "STYLE",
    "::cue { color: red }",
    "",
    "NOTE nothing",
    "",
    "second",
    "01:00:02.500 --> 01:00:04.000 line:10%  align:start",
    "later",
    "two lines",
    "",
    "00:01.000 --> 00:03.000 nonsense",
    "first",
    "",
    "00:05.000 --> 00:04.000",
    "ends before it begins",
    "",
    "00:61.000 --> 00:99.000",
    "no time",
    "",
    "00:07.000 --> 00:08.000",
    "",
  ].join("\r\n");
  const { headers, cues } = parseWebVtt(Buffer.from(file));
  assert.equal(headers.get("language"), "ko");
  assert.deepEqual(cues, [
    { startMs: 1_000, endMs: 3_000, settings: "", text: "first" },
    { startMs: 3_602_500, endMs: 3_604_000, settings: "line:10%  align:start", text: "later\ntwo lines" },
  ]);
});

test("what is no WebVTT is refused", () => {
  for (const text of ["", "WEBVTTX\n", "1\n00:00:01,000 --> 00:00:02,000\nSubRip\n"]) {
    assert.throws(() => parseWebVtt(Buffer.from(text)), ProtocolError);
  }
});

test("a segment without cues is a header alone, and always the same bytes", () => {
  const empty = serializeCues([], 123_456);
  assert.equal(textOf(empty), "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\n\n");
  assert.equal(serializeCues([], 9), empty);
});

test("times are those of the media, modulo what its clock counts to", () => {
  const cue = { settings: "line:0", text: "x", startMs: 1_500, endMs: 3_700.4 };
  assert.match(textOf(serializeCues([cue], 0)), /\n\n00:00:01\.500 --> 00:00:03\.700 line:0\nx\n$/);
  const roundMs = 2 ** 33 / 90;
  const late = { ...cue, startMs: 3 * roundMs + 1_500, endMs: 3 * roundMs + 2_000 };
  assert.match(textOf(serializeCues([late], late.startMs)), /\n00:00:01\.500 --> 00:00:02\.000 /);
});

test("a cue that is shown while the clock comes round is told alike before and after", () => {
  const roundMs = 2 ** 33 / 90;
  const cue = { settings: "", text: "x", startMs: roundMs - 1_000, endMs: roundMs + 5_000 };
  const before = textOf(serializeCues([cue], roundMs - 2_000));
  assert.match(before, /\n26:30:42\.718 --> 26:30:48\.718\n/);
  assert.equal(textOf(serializeCues([cue], roundMs + 2_000)), before);
});
