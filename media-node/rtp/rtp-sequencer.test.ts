import assert from "node:assert/strict";
import { test } from "node:test";
import { RtpSequencer } from "./rtp-sequencer.ts";

function collect(maxHeld: number) {
  const delivered: (number | string)[] = [];
  const sequencer = new RtpSequencer({
    maxHeld,
    maxHoldMs: 100,
    deliver: ({ sequence }, isAfterLoss) => delivered.push(isAfterLoss ? `!${sequence}` : sequence),
  });
  const push = (sequence: number, nowMs = 0): void =>
    sequencer.push(
      { sequence, marker: false, payloadType: 96, timestamp: 0, ssrc: 1, payload: new Uint8Array(1) },
      nowMs,
    );
  return { delivered, sequencer, push };
}

test("passes packets on at once where the transport keeps order, and marks gaps", () => {
  const { delivered, sequencer, push } = collect(0);
  for (const sequence of [65_534, 65_535, 0, 3, 2, 4]) push(sequence);
  assert.deepEqual(delivered, [65_534, 65_535, 0, "!3", 4]);
  assert.deepEqual(sequencer.counters, { lost: 2, repeated: 1, reordered: 0 });
});

test("puts packets back in order across the wrap, and drops repeats", () => {
  const { delivered, sequencer, push } = collect(16);
  for (const sequence of [65_533, 0, 65_535, 65_535, 65_534, 1, 65_533]) push(sequence);
  assert.deepEqual(delivered, [65_533, 65_534, 65_535, 0, 1]);
  assert.deepEqual(sequencer.counters, { lost: 0, repeated: 2, reordered: 2 });
  assert.equal(sequencer.nextTimeoutMs, undefined);
});

test("gives up on a missing packet after its time, or when too much waits", () => {
  const late = collect(16);
  for (const sequence of [1, 3, 4, 7]) late.push(sequence, 10);
  assert.equal(late.sequencer.nextTimeoutMs, 110);
  late.sequencer.timeout(109);
  assert.deepEqual(late.delivered, [1]);
  late.sequencer.timeout(110);
  assert.deepEqual(late.delivered, [1, "!3", 4, "!7"]);
  assert.equal(late.sequencer.counters.lost, 3);
  const full = collect(2);
  for (const sequence of [1, 3, 5, 7]) full.push(sequence);
  assert.deepEqual(full.delivered, [1, "!3"]);
});

test("takes two packets of a new numbering for a restart, and one for a stray", () => {
  const { delivered, push } = collect(16);
  for (const sequence of [1, 40_000, 2, 30_000, 30_001, 30_002]) push(sequence);
  assert.deepEqual(delivered, [1, 2, "!30001", 30_002]);
});
