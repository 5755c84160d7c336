import assert from "node:assert/strict";
import { test } from "node:test";
import { slopeOf } from "./slope.ts";

test("a slope is that of most points, whatever a few of them say", () => {
  const line = Array.from({ length: 24 }, (_, x) => ({ x, y: 100 + 2 * x }));
  assert.equal(slopeOf(line), 2);
  const spoilt = line.map((point) => (point.x % 6 === 5 ? { ...point, y: point.y + 500 } : point));
  assert.ok(Math.abs(slopeOf(spoilt) - 2) < 0.5, String(slopeOf(spoilt)));
  assert.equal(slopeOf(line.map(({ x }) => ({ x, y: 7 }))), 0);
  assert.equal(slopeOf([{ x: 1, y: 1 }]), 0);
});
