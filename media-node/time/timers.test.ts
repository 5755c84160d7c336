import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "./manual-clock.ts";
import { Timers } from "./timers.ts";

test("timers end with their owner, and none begins after it", () => {
  const clock = new ManualClock();
  const timers = new Timers(clock);
  const fired: string[] = [];
  timers.after(10, () => fired.push("early"));
  timers.after(100, () => fired.push("late"));
  timers.every(20, () => fired.push("tick"));
  clock.advance(45);

  timers.close();
  timers.after(1, () => fired.push("afterwards"));
  timers.every(1, () => fired.push("afterwards"));
  clock.advance(1_000);

  assert.deepEqual(fired, ["early", "tick", "tick"]);
});

test("a timer that ends its owner is the last", () => {
  const clock = new ManualClock();
  const timers = new Timers(clock);
  let ticks = 0;
  timers.every(10, () => {
    ticks++;
    timers.close();
  });

  clock.advance(100);

  assert.equal(ticks, 1);
});
