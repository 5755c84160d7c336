import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "../time/manual-clock.ts";
import { Departure } from "./departure.ts";

function leavers(count: number) {
  const gone: number[] = [];
  const list = Array.from({ length: count }, (_, at) => () => void gone.push(at));
  return { gone, list: list.values() };
}

test("few leave one by one, many in steps that end in time", () => {
  for (const [count, withinMs, afterMs] of [
    [4, 9_000, 150],
    [400, 9_000, 9_000],
    [3_600, 9_000, 9_000],
    [7, 120, 120],
  ] as const) {
    const clock = new ManualClock();
    const { gone, list } = leavers(count);
    new Departure(clock).begin(list, count, withinMs);
    assert.ok(gone.length <= Math.ceil(count / Math.floor(withinMs / 50)), "not all at once");
    clock.advance(afterMs);
    assert.deepEqual(gone, [...Array(count).keys()], `${count} within ${withinMs} ms`);
  }
});

test("all at once when there is no time; none after it was given up", () => {
  const clock = new ManualClock();
  const now = leavers(100);
  new Departure(clock).begin(now.list, 100, 0);
  assert.equal(now.gone.length, 100);

  const never = leavers(100);
  const departure = new Departure(clock);
  departure.begin(never.list, 100, 1_000);
  const begun = never.gone.length;
  departure.cancel();
  clock.advance(5_000);
  assert.equal(never.gone.length, begun);
});
