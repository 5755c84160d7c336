import assert from "node:assert/strict";

/** Frames of the looping clip (infra/laptop/make-loop.sh). */
const clipFrames = 400;

/**
 * The numbers burnt into the pictures go up, over the end of the loop as well. A player may leave a picture out that it
 * cannot show in time; it must never go back or repeat an old one.
 * @returns how many pictures were left out
 */
export function assertInOrder(numbers: readonly number[]): number {
  let missing = 0;
  numbers.slice(1).forEach((number, index) => {
    const step = (number - numbers[index]! + clipFrames) % clipFrames;
    assert.ok(step < clipFrames / 2, `picture ${number} came after ${numbers[index]}`);
    missing += Math.max(0, step - 1);
  });
  return missing;
}
