import assert from "node:assert/strict";
import { test } from "node:test";
import { audioTrack, frame, sound, videoTrack } from "../../test/support/fake-source.ts";
import type { Sample } from "./sample.ts";
import { RecentSamples } from "./recent-samples.ts";
import type { Track } from "./track.ts";

const subtitleTrack: Track = { id: 9, kind: "subtitle", codec: "webvtt", name: "", timescale: 1_000, bitrate: 0 };
const cue = (pts: number, duration: number): Sample => {
  return { trackId: 9, pts, dts: pts, duration, isKeyframe: true, data: Buffer.from(`${pts}`) };
};

function filled(frames: number, keepMs = 2_000, maxBytes = 1_000_000): RecentSamples {
  const recent = new RecentSamples(keepMs, maxBytes);
  recent.describe([videoTrack, audioTrack]);
  for (let index = 0; index < frames; index++) {
    recent.push(frame(index), videoTrack);
    recent.push(sound(index * 2), audioTrack);
    recent.push(sound(index * 2 + 1), audioTrack);
  }
  return recent;
}

test("gives the last group of pictures with its sound, in the order published", () => {
  const samples = filled(60).since(0);
  assert.deepEqual(samples[0], frame(50));
  assert.equal(samples.length, 30);
  assert.deepEqual(samples[1], sound(100));
});

test("reaches back to the youngest key frame that covers the time asked for, else as far as it has", () => {
  const recent = filled(60);
  assert.deepEqual(recent.since(1_000)[0], frame(25));
  assert.deepEqual(recent.since(60_000)[0], frame(0));
});

test("drops whole groups once the time to keep is covered without them", () => {
  assert.deepEqual(filled(200).since(60_000)[0], frame(125));
});

test("holds nothing before the first key frame", () => {
  const recent = new RecentSamples(2_000, 1_000);
  recent.describe([videoTrack]);
  recent.push(frame(3), videoTrack);
  assert.deepEqual(recent.since(0), []);
});

test("is bounded in bytes: a group that is too large alone is let go until the next key frame", () => {
  const recent = filled(24, 2_000, 40);
  assert.deepEqual(recent.since(0), []);
  recent.push(frame(25), videoTrack);
  assert.deepEqual(recent.since(0), [frame(25)]);
});

test("a stream without video may be joined at any frame", () => {
  const recent = new RecentSamples(100, 1_000);
  recent.describe([audioTrack]);
  for (let index = 0; index < 50; index++) recent.push(sound(index), audioTrack);
  assert.deepEqual(recent.since(0), [sound(49)]);
  assert.equal(recent.since(100).length, 6);
});

test("a cue is given to who joins for as long as it is shown, in the order cues came", () => {
  const recent = new RecentSamples(2_000, 1_000_000);
  recent.describe([videoTrack, subtitleTrack]);
  recent.push(cue(0, 9_000), subtitleTrack);
  for (let index = 0; index < 150; index++) {
    if (index === 30) recent.push(cue(1_200, 500), subtitleTrack);
    if (index === 60) recent.push(cue(2_400, 6_000), subtitleTrack);
    if (index === 140) recent.push(cue(60_000, 1_000), subtitleTrack);
    recent.push(frame(index), videoTrack);
  }
  const pts = (atLeastMs: number): number[] =>
    recent.since(atLeastMs).flatMap((sample) => (sample.trackId === 9 ? [sample.pts] : []));
  assert.deepEqual(pts(0), [0, 2_400, 60_000]);
  assert.deepEqual(pts(2_000), [0, 2_400, 60_000]);
  assert.deepEqual(recent.since(0)[2], frame(125), "the picture begins at a key frame as ever");
  for (let index = 150; index < 300; index++) recent.push(frame(index), videoTrack);
  assert.deepEqual(pts(2_000), [60_000], "what is over is forgotten");
});

test("who joins before the first picture is given the cues that have come", () => {
  const recent = new RecentSamples(2_000, 1_000_000);
  recent.describe([videoTrack, subtitleTrack]);
  recent.push(cue(0, 9_000), subtitleTrack);
  assert.deepEqual([recent.since(0), recent.toJoin(0)], [[], [cue(0, 9_000)]]);
  recent.push(frame(0), videoTrack);
  assert.deepEqual(recent.toJoin(0), [cue(0, 9_000), frame(0)]);
});

test("cues of a stream without a picture yet are few", () => {
  const recent = new RecentSamples(2_000, 1_000_000);
  recent.describe([videoTrack, subtitleTrack]);
  for (let index = 0; index < 1_000; index++) recent.push(cue(index, 90_000), subtitleTrack);
  recent.push(frame(0), videoTrack);
  assert.equal(recent.since(0).length, 257);
});

test("keeps more or less from now on, when it is told so", () => {
  const recent = filled(100);
  assert.equal(recent.since(10_000).length, filled(100).since(10_000).length);
  const before = recent.since(10_000).length;
  recent.keep(1_000);
  recent.push(frame(100), videoTrack);
  assert.ok(recent.since(10_000).length < before, "what is too old went with the next key frame");
  recent.keep(60_000);
  for (let index = 101; index < 300; index++) recent.push(frame(index), videoTrack);
  assert.ok(recent.since(60_000).length >= 200, "nothing more is dropped");
});
