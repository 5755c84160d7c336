import assert from "node:assert/strict";
import { test } from "node:test";
import { ReplayWindow, ReplayWindows } from "./replay-window.ts";

test("each index is accepted once, however they are shuffled within the window", () => {
  // A reference that remembers everything, on a pseudo-random walk.
  const window = new ReplayWindow();
  const seen = new Set<number>();
  let [newest, seed] = [-1, 1];
  const random = (): number => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647;
  for (let i = 0; i < 20_000; i++) {
    const index = Math.max(0, newest + Math.floor(random() * 140) - 100);
    const mayCome = !seen.has(index) && index > newest - 64;
    assert.equal(window.mayCome(index), mayCome, `${index} with newest ${newest}`);
    if (!mayCome) continue;
    window.accept(index);
    seen.add(index);
    newest = Math.max(newest, index);
  }
});

test("each source has its own window, and their number is bounded", () => {
  const windows = new ReplayWindows();
  for (let ssrc = 0; ssrc < 16; ssrc++) {
    assert.equal(windows.mayCome(ssrc, 1), true);
    windows.accept(ssrc, 1);
    assert.equal(windows.mayCome(ssrc, 1), false);
  }
  assert.equal(windows.mayCome(16, 1), false);
  assert.equal(windows.mayCome(15, 2), true);
});
