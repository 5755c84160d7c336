import assert from "node:assert/strict";
import { test } from "node:test";
import { runningTimers, systemClock } from "./clock.ts";

test("a timer of more than 24 days fires when they are over, and may be cancelled before and after", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const before = runningTimers();
  const fired: string[] = [];
  const month = 2_592_000_000;
  systemClock.after(month, () => fired.push("month"));
  systemClock.after(Number.POSITIVE_INFINITY, () => fired.push("never")).cancel();
  const given = systemClock.after(month, () => fired.push("cancelled"));
  t.mock.timers.tick(2 ** 31 - 1);
  t.mock.timers.tick(month - 2 ** 31);
  assert.deepEqual(fired, []);
  given.cancel();
  t.mock.timers.tick(1);
  assert.deepEqual(fired, ["month"]);
  assert.equal(runningTimers(), before);
});

test("timers that run are counted until they fire or are cancelled, once", async () => {
  const before = runningTimers();
  const cancelled = systemClock.after(60_000, () => assert.fail("it was cancelled"));
  assert.equal(runningTimers(), before + 1);
  cancelled.cancel();
  cancelled.cancel();
  assert.equal(runningTimers(), before);
  // The clock's own timers do not keep the process alive.
  const keepAlive = setInterval(() => {}, 1_000);
  const seen = await new Promise<number>((resolve) => {
    const timer = systemClock.after(0, () => {
      const within = runningTimers();
      timer.cancel();
      resolve(within);
    });
  });
  clearInterval(keepAlive);
  assert.deepEqual([seen, runningTimers()], [before, before]);
});
