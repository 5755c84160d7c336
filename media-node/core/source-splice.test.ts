import assert from "node:assert/strict";
import { test } from "node:test";
import { describedAs, frame, sound, videoTrack } from "../../test/support/fake-source.ts";
import { ManualClock } from "../time/manual-clock.ts";
import type { Sample } from "./sample.ts";
import { SourceSplice } from "./source-splice.ts";
import { Stream, type StreamDescription } from "./stream.ts";

function spliced(description: StreamDescription) {
  const clock = new ManualClock();
  const stream = new Stream({ vhost: "default", app: "app", stream: "s" }, description, { clock });
  const out: Sample[] = [];
  const discontinuities: boolean[] = [];
  stream.addReader({
    onSample: (sample) => out.push(sample),
    onDescription: (_description, isDiscontinuity) => discontinuities.push(isDiscontinuity),
    onEnd() {},
  });
  const splice = new SourceSplice(stream, clock);
  splice.begin(description);
  return { clock, splice, out, discontinuities };
}

const video = (samples: Sample[]): number[] =>
  samples.filter(({ trackId }) => trackId === 0).map(({ dts }) => dts / 3_600);

test("video of a new stream waits for a key frame, sound does not", () => {
  const { splice, out } = spliced(describedAs());
  splice.push(frame(24));
  splice.push(sound(7));
  splice.push(frame(25));
  assert.deepEqual(out, [sound(7), frame(25)]);
});

test("a second source on the same clock goes on exactly where the first stopped, repeats left out", () => {
  const { splice, out, discontinuities } = spliced(describedAs());
  for (let index = 0; index < 40; index++) splice.push(frame(index));
  splice.begin(describedAs());
  for (let index = 25; index < 60; index++) splice.push(frame(index));
  assert.deepEqual(
    video(out),
    Array.from({ length: 60 }, (_, index) => index),
  );
  assert.ok(!discontinuities.includes(true));
});

test("a key frame with a known time but other pictures behind it is no proof: video goes on with the next key frame", () => {
  const { splice, out } = spliced(describedAs());
  for (let index = 0; index < 40; index++) splice.push(frame(index));
  splice.begin(describedAs());
  for (let index = 39; index < 60; index++) {
    splice.push({ ...frame(index), isKeyframe: index === 39 || index === 50, data: Uint8Array.of(9, index) });
  }
  assert.deepEqual(video(out).slice(40), [50, 51, 52, 53, 54, 55, 56, 57, 58, 59]);
});

test("where pictures are missing between two sources, video goes on with the next key frame", () => {
  const { splice, out } = spliced(describedAs());
  for (let index = 0; index < 40; index++) splice.push(frame(index));
  splice.begin(describedAs());
  for (let index = 45; index < 60; index++) splice.push(frame(index));
  assert.deepEqual(video(out).slice(-3), [57, 58, 59]);
  assert.deepEqual(video(out).slice(40), [50, 51, 52, 53, 54, 55, 56, 57, 58, 59]);
});

test("a source with a clock of its own is shifted to follow, tracks together, by the time that passed", () => {
  const guessed = { isEpochShared: false };
  const { clock, splice, out } = spliced(describedAs(guessed));
  splice.push(frame(0));
  splice.push(sound(0));
  clock.advance(400);
  splice.begin(describedAs({ ...guessed, epochMs: 0 }));
  splice.push(frame(1_000));
  splice.push(sound(2_000));
  assert.deepEqual(video(out), [0, 10]);
  assert.equal(out.at(-1)!.dts, (10 * 3_600 * 48) / 90);
});

test("timestamps never go back, whatever a source sends", () => {
  const { splice, out } = spliced(describedAs());
  for (const index of [0, 1, 2, 1, 2, 3, 25, 3, 26]) splice.push(frame(index));
  assert.deepEqual(video(out), [0, 1, 2, 3, 25, 26]);
});

test("other codec settings are announced as a discontinuity before the first sample", () => {
  const { splice, discontinuities } = spliced(describedAs());
  splice.push(frame(0));
  splice.begin(describedAs({ tracks: [{ ...videoTrack, decoderConfig: Uint8Array.of(1, 2) }] }));
  assert.deepEqual(discontinuities, [true]);
});
