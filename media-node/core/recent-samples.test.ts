import assert from "node:assert/strict";
import { test } from "node:test";
import { audioTrack, frame, sound, videoTrack } from "../../test/support/fake-source.ts";
import { RecentSamples } from "./recent-samples.ts";

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
