import assert from "node:assert/strict";
import { test } from "node:test";
import { readinessOf } from "./readiness.ts";
import type { TrackOutput } from "./track-output.ts";

/** A track that has whole segments up to 5 and nothing of the next. */
const track = {
  isEnded: false,
  lastCompleteMsn: 5,
  lastListedMsn: 5,
  partTargetMs: 200,
  segmentAt: () => undefined,
} as unknown as TrackOutput;

test("a player from another edge waits for one that is still catching up; nobody else waits for what is far ahead", () => {
  const ahead = { msn: 12, part: 3, isDelta: false, isLegacy: false, isRewind: true };
  assert.equal(readinessOf(track, ahead, true), "later");
  assert.equal(readinessOf(track, ahead), "never");
  assert.equal(readinessOf(track, { ...ahead, msn: 5_000 }, true), "never");
});
