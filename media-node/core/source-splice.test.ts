import assert from "node:assert/strict";
import { test } from "node:test";
import { describedAs, frame, sound, videoTrack } from "../../test/support/fake-source.ts";
import { seededRandom } from "../../test/support/seeded-random.ts";
import { ManualClock } from "../time/manual-clock.ts";
import type { Sample } from "./sample.ts";
import { SourceSplice } from "./source-splice.ts";
import { Stream, type StreamDescription } from "./stream.ts";

function spliced(description: StreamDescription) {
  const clock = new ManualClock();
  const stream = new Stream({ vhost: "default", app: "app", stream: "s" }, description, { clock });
  const out: Sample[] = [];
  const timesMs: number[] = [];
  const discontinuities: boolean[] = [];
  stream.addReader({
    onSample: (sample, { timescale }) => {
      out.push(sample);
      timesMs.push((sample.dts * 1000) / timescale);
    },
    onDescription: (_description, isDiscontinuity) => discontinuities.push(isDiscontinuity),
    onEnd() {},
  });
  const splice = new SourceSplice(stream, clock);
  splice.begin(description);
  return { clock, splice, out, timesMs, discontinuities };
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

test("sources on one clock that count from different epochs keep their pictures in place", () => {
  const { splice, out, discontinuities } = spliced(describedAs());
  for (let index = 0; index < 40; index++) splice.push(frame(index));
  const { epochMs } = describedAs();
  splice.begin(describedAs({ epochMs: epochMs - 10_000 }));
  const later = (index: number): Sample => ({
    ...frame(index),
    dts: frame(index).dts + 900_000,
    pts: frame(index).pts + 900_000,
  });
  for (let index = 25; index < 60; index++) splice.push(later(index));
  assert.deepEqual(
    video(out),
    Array.from({ length: 60 }, (_, index) => index),
  );
  assert.ok(!discontinuities.includes(true));
});

test("a source whose shared clock is wrong is shifted like one without", () => {
  for (const [firstIndex, afterMs] of [
    [1_000_000, 0],
    [-1_000_000, 1_100],
  ] as const) {
    const { clock, splice, out } = spliced(describedAs());
    for (let index = 0; index < 40; index++) splice.push(frame(index));
    splice.begin(describedAs());
    if (afterMs > 0) splice.push(frame(firstIndex));
    clock.advance(afterMs);
    for (let index = 25; index < 75; index++) splice.push(frame(firstIndex + index));
    const times = video(out);
    assert.ok(times.length >= 65, `${times.length} frames`);
    assert.ok(times[40]! - 39 <= 1 + afterMs / 40 + 25, `goes on at ${times[40]}`);
  }
});

test("a source that lags a little is waited for, and no picture is missing", () => {
  const { clock, splice, out } = spliced(describedAs());
  for (let index = 0; index < 100; index++) splice.push(frame(index));
  splice.begin(describedAs());
  for (let index = 25; index < 130; index++) {
    clock.advance(40);
    splice.push(frame(index));
  }
  assert.deepEqual(
    video(out),
    Array.from({ length: 130 }, (_, index) => index),
  );
});

test("a track whose time base changed goes on after what was put out before", () => {
  const { splice, out, discontinuities } = spliced(describedAs());
  for (let index = 0; index < 50; index++) splice.push(frame(index));
  splice.begin(describedAs({ tracks: [{ ...videoTrack, timescale: 1_000 }] }));
  for (let index = 45; index < 80; index++) {
    splice.push({ ...frame(index), dts: index * 40, pts: index * 40 });
  }
  assert.deepEqual(discontinuities, [true]);
  assert.deepEqual(
    out.slice(50).map(({ dts }) => dts / 40),
    Array.from({ length: 30 }, (_, index) => 50 + index),
  );
});

test("a newcomer that does not say its codec settings is taken to keep them", () => {
  const known = describedAs({ tracks: [{ ...videoTrack, decoderConfig: Uint8Array.of(1) }] });
  const { splice, discontinuities } = spliced(known);
  splice.push(frame(0));
  splice.begin(describedAs({ tracks: [videoTrack] }));
  assert.ok(!discontinuities.includes(true));
});

test("pictures that nobody can decode are media for a while, and repeats for a moment", () => {
  const { clock, splice } = spliced(describedAs());
  clock.advance(10_000);
  splice.push({ ...frame(1), isKeyframe: false });
  assert.equal(splice.lastInputMs, 10_000);
  clock.advance(15_000);
  splice.push({ ...frame(2), isKeyframe: false });
  assert.equal(splice.lastInputMs, 10_000);
  splice.push(frame(25));
  assert.equal(splice.lastInputMs, 25_000);
  clock.advance(1_000);
  splice.push(frame(25));
  assert.equal(splice.lastInputMs, 25_000);
});

test("tracks of other ids begin with what viewers have not seen, announced as a discontinuity", () => {
  const { splice, out, discontinuities } = spliced(describedAs());
  for (let index = 0; index < 100; index++) splice.push(frame(index));
  splice.begin(describedAs({ tracks: [{ ...videoTrack, id: 7 }] }));
  for (let index = 0; index < 150; index++) splice.push({ ...frame(index), trackId: 7 });
  assert.deepEqual(discontinuities, [true]);
  const first = out.find(({ trackId }) => trackId === 7)!;
  assert.deepEqual([first.dts / 3_600, first.isKeyframe], [100, true]);
});

test("whatever sources follow one another, time never goes back on any track", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seededRandom(seed);
    const pick = (count: number): number => Math.floor(random() * count);
    const anySource = (): StreamDescription =>
      describedAs({
        isEpochShared: random() < 0.7,
        epochMs: describedAs().epochMs + pick(3) * 5_000 - 5_000,
        ...(random() < 0.2 && { tracks: [{ ...videoTrack, timescale: random() < 0.5 ? 90_000 : 1_000 }] }),
      });
    const { clock, splice, out, timesMs } = spliced(anySource());
    let now = anySource();
    for (let step = 0; step < 30; step++) {
      if (random() < 0.4) splice.begin((now = anySource()), pick(2_000));
      if (random() < 0.2) splice.describe(now);
      if (random() < 0.2) splice.makeRoomFor(now, [frame(pick(200) * 25), frame(pick(200) * 25)]);
      if (random() < 0.1) splice.fillRoom();
      const from = pick(500) + (random() < 0.1 ? 1e9 : 0);
      for (let index = from; index < from + pick(60); index++)
        splice.push(random() < 0.6 ? frame(index) : sound(index * 2));
      clock.advance(pick(4_000));
    }
    const last = new Map<number, number>();
    for (const [index, { trackId, dts }] of out.entries()) {
      assert.ok(Number.isSafeInteger(dts), `seed ${seed}`);
      // A new time base rounds to its own ticks.
      const beforeMs = last.get(trackId) ?? Number.NEGATIVE_INFINITY;
      assert.ok(timesMs[index]! > beforeMs - 1, `seed ${seed}: ${timesMs[index]} after ${beforeMs}`);
      last.set(trackId, timesMs[index]!);
    }
    assert.ok(last.size > 0);
  }
});

const subtitleTrack = { id: 9, kind: "subtitle", codec: "webvtt", name: "", timescale: 1_000, bitrate: 0 } as const;
const cue = (pts: number, text: string): Sample => {
  return { trackId: 9, pts, dts: pts, duration: 500, isKeyframe: true, data: Buffer.from(text) };
};
const withSubtitles = (description = describedAs()): StreamDescription => {
  return { ...description, tracks: [...description.tracks, subtitleTrack] };
};

test("cues pass in the order they come, whatever their times, and say nothing of where a source stands", () => {
  const { splice, out, clock, discontinuities } = spliced(withSubtitles());
  for (let index = 0; index < 25; index++) splice.push(frame(index));
  splice.push(cue(600_000, "in ten minutes"));
  splice.push(cue(900, "now"));
  assert.deepEqual(
    out.filter(({ trackId }) => trackId === 9).map(({ pts }) => pts),
    [600_000, 900],
  );
  const inputMs = splice.lastInputMs;
  clock.advance(2_000);
  splice.push(cue(3_000, "more"));
  assert.equal(splice.lastInputMs, inputMs, "cues alone are no media");
  // The next origin repeats what is still shown, and says nothing new of it.
  splice.begin(withSubtitles());
  splice.push(cue(600_000, "in ten minutes"));
  for (let index = 0; index < 80; index++) splice.push(frame(index));
  splice.push(cue(3_000, "other"));
  assert.deepEqual(
    out.filter(({ trackId }) => trackId === 9).map(({ data }) => Buffer.from(data).toString()),
    ["in ten minutes", "now", "more", "other"],
  );
  assert.equal(video(out).at(-1), 79, "times are as they were");
  assert.ok(!discontinuities.includes(true));
});

test("a source without the subtitles of the one before is no break for decoders", () => {
  const { splice, discontinuities } = spliced(withSubtitles());
  for (let index = 0; index < 25; index++) splice.push(frame(index));
  splice.begin(describedAs());
  assert.deepEqual(discontinuities, [false]);
});
