import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../time/manual-clock.ts";
import { JoinQueue } from "./join-queue.ts";

const { signal } = new AbortController();

/** So many viewers at once; what became of each stands in the result when it is known. */
function crowd(queue: JoinQueue, count: number, addressOf = (index: number): string => `192.0.2.${index % 200}`) {
  const outcomes: (boolean | undefined)[] = Array.from({ length: count });
  for (let i = 0; i < count; i++) void queue.turn(addressOf(i), signal).then((isIn) => (outcomes[i] = isIn));
  return outcomes;
}
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const countIn = (outcomes: readonly unknown[]): number => outcomes.filter((isIn) => isIn === true).length;

test("a few viewers do not wait; of a crowd two are let in every 5 ms, in the order they came", async () => {
  const clock = new ManualClock();
  const queue = new JoinQueue(clock);
  const outcomes = crowd(queue, 100);
  await settled();
  assert.equal(countIn(outcomes), 32);
  clock.advance(5);
  await settled();
  assert.equal(countIn(outcomes), 34);
  clock.advance(100);
  await settled();
  assert.equal(countIn(outcomes), 74);
  assert.ok(outcomes.slice(0, 74).every(Boolean));
  clock.advance(1_000);
  await settled();
  assert.equal(countIn(outcomes), 100);
  assert.deepEqual([queue.length, clock.pendingTimers, queue.refused], [0, 0, 0]);
});

test("where the loop is late nobody is let in to make up for it", async () => {
  const clock = new ManualClock();
  const queue = new JoinQueue(clock);
  const outcomes = crowd(queue, 200);
  await settled();
  // A timer of a busy loop fires once, however late.
  for (let turns = 1; turns <= 10; turns++) {
    clock.advance(5);
    await settled();
    assert.equal(countIn(outcomes), 32 + 2 * turns);
  }
});

test("who finds no room to wait is refused at once; one address fills half of it", async () => {
  const queue = new JoinQueue(new ManualClock());
  const flood = crowd(queue, 5_000, () => "198.51.100.1");
  await settled();
  assert.equal(countIn(flood), 32);
  assert.equal(queue.length, 500);
  assert.ok(queue.isFull("198.51.100.1"));
  assert.ok(!queue.isFull("192.0.2.1"));
  const others = crowd(queue, 600);
  await settled();
  assert.equal(queue.length, 1_000);
  assert.equal(others.filter((isIn) => isIn === false).length, 100);
  assert.ok(queue.isFull("192.0.2.1"));
});

test("who leaves gives up the place, and is not let in", async () => {
  const clock = new ManualClock();
  const queue = new JoinQueue(clock);
  crowd(queue, 32);
  const gone = new AbortController();
  const first = queue.turn("192.0.2.1", gone.signal);
  const second = queue.turn("192.0.2.1", signal);
  gone.abort();
  assert.equal(await first, false);
  assert.equal(queue.length, 1);
  clock.advance(5);
  assert.equal(await second, true);
  assert.equal(await queue.turn("192.0.2.1", gone.signal), false);
  assert.equal(clock.pendingTimers, 0);
});
