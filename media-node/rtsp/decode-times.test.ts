import assert from "node:assert/strict";
import { test } from "node:test";
import { DecodeTimes } from "./decode-times.ts";

test("is the presentation time where nothing is reordered", () => {
  const times = new DecodeTimes(0, 3_600);
  assert.deepEqual(
    [0, 3_600, 7_300].map((pts) => times.next(pts)),
    [0, 3_600, 7_300],
  );
});

test("is the sorted presentation time, later by as many pictures as are reordered", () => {
  const times = new DecodeTimes(2, 10);
  const shown = [0, 40, 20, 10, 30, 80, 60, 50, 70];
  const decoded = shown.map((pts) => times.next(pts));
  assert.deepEqual(decoded, [-20, -10, 0, 10, 20, 30, 40, 50, 60]);
  for (const [index, dts] of decoded.entries()) assert.ok(dts <= shown[index]!);
});

test("finds the reordering out where nobody tells, and never goes back", () => {
  const times = new DecodeTimes(undefined, 1_000);
  let last = Number.NEGATIVE_INFINITY;
  const order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11].map((n) => n * 3_000);
  const pairs = order.map((pts) => ({ pts, dts: times.next(pts) }));
  for (const { dts } of pairs) {
    assert.ok(dts > last);
    last = dts;
  }
  for (const { pts, dts } of pairs.slice(6)) assert.ok(dts <= pts, `${dts} after ${pts}`);
});

test("goes on strictly upwards from a clock that stands still", () => {
  const times = new DecodeTimes(0, 1);
  assert.deepEqual(
    [5, 5, 5].map((pts) => times.next(pts)),
    [5, 6, 7],
  );
});
