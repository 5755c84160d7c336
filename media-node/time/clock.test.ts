import assert from "node:assert/strict";
import { test } from "node:test";
import { runningTimers, systemClock } from "./clock.ts";

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
