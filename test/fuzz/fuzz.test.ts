import assert from "node:assert/strict";
import { test } from "node:test";
import { loadFuzzTargets, mutate, seededRandom } from "../support/fuzz-targets.ts";

const targets = await loadFuzzTargets();
/** A short run for every change; `npm run fuzz` is the long one. */
const inputs = 4_000;

test("there are parsers under fire", () => assert.ok(targets.length >= 10, String(targets.length)));

for (const { name, fuzz, seeds } of targets) {
  test(`${name}: kept seeds, each cut short, and ${inputs} mutations break nothing`, () => {
    for (const seed of seeds) {
      const step = Math.max(1, seed.length >> 9);
      for (let length = 0; length <= seed.length; length += step) fuzz(seed.slice(0, length));
    }
    const random = seededRandom(0x4ea27);
    for (let count = 0; count < inputs; count++) fuzz(mutate(seeds, random));
  });
}
