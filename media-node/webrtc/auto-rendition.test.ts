import assert from "node:assert/strict";
import { test } from "node:test";
import { videoTrack } from "../../test/support/synthetic-stream.ts";
import { AutoRendition } from "./auto-rendition.ts";
import type { PlayableRendition } from "./renditions.ts";

const [low, middle, high] = [500_000, 1_000_000, 2_000_000].map((bitrate, id): PlayableRendition => ({
  name: `${bitrate}`,
  video: { ...videoTrack, id, bitrate },
  audio: undefined,
})) as [PlayableRendition, PlayableRendition, PlayableRendition];
const ladder = [high, low, middle];

/** What is decided second by second when the estimate is as given. */
function run(
  start: PlayableRendition,
  seconds: number,
  estimateAt: (second: number) => number,
  lossShare = 0,
): string[] {
  const auto = new AutoRendition(ladder, start, 0);
  const decisions: string[] = [];
  for (let second = 1; second <= seconds; second++) {
    const decision = auto.decide({ nowMs: second * 1_000, estimate: estimateAt(second), lossShare });
    if (decision.kind === "switch") decisions.push(`${second}: ${decision.rendition.name}`);
    if (decision.kind === "probe") decisions.push(`${second}: probe ${decision.bitsPerSecond}`);
  }
  return decisions;
}

test("goes down to what the estimate carries, once it has settled", () => {
  assert.deepEqual(
    run(high, 19, () => 700_000),
    ["10: 500000"],
  );
});

test("does not go down while the estimate is rising", () => {
  assert.deepEqual(
    run(high, 15, (second) => 300_000 * 1.1 ** second),
    [],
  );
});

test("heavy loss takes it down whatever the estimate", () => {
  assert.deepEqual(
    run(high, 15, () => 5_000_000, 0.2),
    ["10: 1000000"],
  );
});

test("probes before it goes up, and goes up when the estimate follows", () => {
  assert.deepEqual(
    run(low, 14, (second) => (second > 11 ? 1_150_000 : 600_000)),
    ["10: probe 1200000", "12: 1000000"],
  );
});

test("goes down again where a rendition does not hold, and waits longer each time before the next try", () => {
  // The path carries a good megabit; the estimate follows what is sent up to that.
  const estimate = (second: number): number => (second % 45 > 12 && second % 45 < 20 ? 1_400_000 : 600_000);
  const switches = run(low, 140, estimate).filter((decision) => !decision.includes("probe"));
  assert.deepEqual(switches, ["13: 1000000", "23: 500000", "58: 1000000", "68: 500000", "103: 1000000", "113: 500000"]);
});

test("stays where bitrates are unknown", () => {
  const unknown = { ...low, video: { ...videoTrack, bitrate: 0 } };
  const auto = new AutoRendition([unknown, high], unknown, 0);
  assert.deepEqual(auto.decide({ nowMs: 60_000, estimate: 9_000_000, lossShare: 0 }), { kind: "stay" });
});
