import assert from "node:assert/strict";
import { test } from "node:test";
import { Playout } from "./playout.ts";

test("begins with a second, stalls when that is shown, and fills up again", () => {
  const player = new Playout();
  for (let at = 0; at <= 800; at += 200) player.add(200, at);
  player.look(1_800);
  assert.deepEqual(player.stalls, [], "what came until 800 ms lasts until 1,800");
  player.add(200, 1_700);
  assert.equal(player.leastMs, 100);
  player.look(2_001);
  assert.deepEqual(player.stalls, [2_000]);
  player.look(9_000);
  player.add(800, 9_000);
  player.look(20_000);
  assert.deepEqual(player.stalls, [2_000], "it is one stall however long it lasts, and it fills before it plays");
  player.add(200, 20_000);
  player.look(21_001);
  assert.deepEqual(player.stalls, [2_000, 21_000]);
  player.restart();
  assert.deepEqual(player.stalls, []);
});
