import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { ManualClock } from "../../time/manual-clock.ts";
import { HandshakeQueue } from "./handshake-queue.ts";

test("a crowd is worked off in order, in slices of 2 ms", async () => {
  const clock = new ManualClock();
  const done: number[] = [];
  const queue = new HandshakeQueue<number>(clock, (_, to) => {
    done.push(to);
    clock.advance(1);
  });
  for (let i = 0; i < 5; i++) queue.push(new Uint8Array(10), i);
  assert.deepEqual(done, []);
  const after: number[] = [];
  while (queue.length > 0) {
    await turn();
    after.push(done.length);
  }
  assert.deepEqual(done, [0, 1, 2, 3, 4]);
  assert.deepEqual(
    after.filter((count, i) => count !== after[i - 1] && count > 0),
    [2, 4, 5],
  );
});

test("what exceeds its bound is dropped and counted; closing forgets the rest", async () => {
  const done: number[] = [];
  const queue = new HandshakeQueue<number>(new ManualClock(), (_, to) => done.push(to));
  for (let i = 0; i < 3000; i++) queue.push(new Uint8Array(100), i);
  assert.equal(queue.length, 2048);
  assert.equal(queue.dropped, 3000 - 2048);
  queue.close();
  await turn();
  assert.deepEqual(done, []);
});
