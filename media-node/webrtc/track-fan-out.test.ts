import assert from "node:assert/strict";
import { test } from "node:test";
import { rtpTicks } from "./track-fan-out.ts";

const rows: [string, number, number, number, number][] = [
  ["the same clock", 12_345, 90_000, 90_000, 12_345],
  ["milliseconds", 1_001, 1_000, 90_000, 90_090],
  ["rounding", 1, 44_100, 48_000, 1],
  ["before the epoch", -3_000, 90_000, 90_000, 2 ** 32 - 3_000],
  ["past the wrap", 2 ** 32 + 7, 90_000, 90_000, 7],
  ["ten years of microseconds", 315_360_000_000_000, 1_000_000, 90_000, (315_360_000 * 90_000) % 2 ** 32],
];

for (const [name, pts, timescale, clockRate, expected] of rows) {
  test(`presentation times become RTP ticks: ${name}`, () =>
    assert.equal(rtpTicks(pts, timescale, clockRate), expected));
}
