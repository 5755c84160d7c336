import assert from "node:assert/strict";
import { test } from "node:test";
import { rescaleTicks, SoundTimeline } from "./sound-timeline.ts";

/** Feeds frames at these times, then takes as many 20 ms packets as they fill. */
function convert(times: readonly number[], frameTicks = 1_024, skip = 312): number[] {
  const timeline = new SoundTimeline(frameTicks / 48_000);
  timeline.skip(skip);
  for (const time of times) timeline.feed(time);
  return Array.from({ length: Math.floor((times.length * frameTicks + skip) / 960) }, () => timeline.take(960)!);
}
const steady = (count: number, from = 0, step = 1_024): number[] =>
  Array.from({ length: count }, (_, index) => Math.round(from + index * step));

test("packets begin the encoder's look-ahead before the first frame and follow without a seam", () => {
  const packets = convert(steady(100, 5_000_000));
  assert.deepEqual(
    packets,
    packets.map((_, index) => 5_000_000 - 312 + index * 960),
  );
});

test("frames of 44.1 kHz, whose length is no whole number of ticks, do not drift", () => {
  const frameTicks = (1_024 * 48_000) / 44_100;
  const packets = convert(steady(40_000 / 10, 0, frameTicks), frameTicks);
  assert.deepEqual(
    packets,
    packets.map((_, index) => -312 + index * 960),
  );
});

test("a gap in the source is a gap in the packets, at the same place and of the same length", () => {
  const packets = convert([...steady(50), ...steady(50, 50 * 1_024 + 96_000)]);
  const jumps = packets.slice(1).flatMap((time, index) => {
    const step = time - packets[index]!;
    return step === 960 ? [] : [time];
  });
  assert.equal(jumps.length, 1);
  const index = packets.indexOf(jumps[0]!);
  assert.equal(jumps[0]! - (index * 960 - 312), 96_000);
  assert.ok(index * 960 - 312 >= 50 * 1_024 && index * 960 - 312 < 50 * 1_024 + 960);
});

test("times that tremble by less than 10 ms make no seam", () => {
  const packets = convert(steady(200).map((time, index) => time + ((index * 7_919) % 400) - 200));
  for (const [index, time] of packets.slice(1).entries()) assert.equal(time - packets[index]!, 960);
});

test("a source whose clock drifts is followed within 10 ms", () => {
  for (const drift of [1 + 2e-3, 1 - 2e-3]) {
    const times = steady(3_000, 0, 1_024 * drift);
    const packets = convert(times);
    for (const [index, time] of packets.entries()) {
      const position = index * 960 - 312;
      assert.ok(Math.abs(time - position * drift) <= 490, `packet ${index} is ${time - position * drift} off`);
    }
  }
});

test("times that go back never make packets go back", () => {
  const packets = convert([...steady(50), ...steady(50)]);
  for (const [index, time] of packets.slice(1).entries()) assert.ok(time > packets[index]!);
});

test("an encoder that returns more than it was given goes on counting; one that was given nothing has no time", () => {
  const timeline = new SoundTimeline(1_024 / 48_000);
  assert.equal(timeline.take(960), undefined);
  timeline.feed(1_000);
  timeline.take(960);
  const times = [timeline.take(960)!, timeline.take(960)!];
  assert.equal(times[1]! - times[0]!, 960);
});

test("frames in flight are counted", () => {
  const timeline = new SoundTimeline(1_024 / 48_000);
  for (const time of steady(20)) timeline.feed(time);
  for (let taken = 0; taken < 16; taken++) timeline.take(960);
  assert.equal(timeline.framesAhead, 20 - (16 * 960) / 1_024);
});

test("ticks of years are rescaled exactly", () => {
  const years = 90_000 * 3_600 * 24 * 365 * 5;
  assert.equal(rescaleTicks(years + 45_000, 90_000, 48_000), (years / 90_000) * 48_000 + 24_000);
  assert.equal(rescaleTicks(-45_000, 90_000, 48_000), -24_000);
});
