// `npm run fuzz [-- NAME] [--inputs N] [--seed S]`: throws mutated inputs at every parser, or at one. What breaks it is
// printed with the seed, and kept in test/fixtures/fuzz/NAME/ so that it is tried for ever.
import { mkdirSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadFuzzTargets, mutate, seededRandom } from "../support/fuzz-targets.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { inputs: { type: "string", default: "10000000" }, seed: { type: "string" } },
});
const seed = Number(values.seed ?? Date.now() % 2 ** 32);
const all = await loadFuzzTargets();
const targets = positionals.length > 0 ? all.filter(({ name }) => positionals.includes(name)) : all;
if (targets.length === 0) {
  console.error(`No such target. There are: ${all.map(({ name }) => name).join(", ")}.`);
  process.exit(1);
}
for (const { name, fuzz, seeds } of targets) {
  const random = seededRandom(seed);
  const startMs = performance.now();
  for (let count = 0; count < Number(values.inputs); count++) {
    const input = mutate(seeds, random);
    try {
      fuzz(input);
    } catch (thrown) {
      const folder = join(import.meta.dirname, "../fixtures/fuzz", name);
      const file = join(folder, `crash-${createHash("sha1").update(input).digest("hex").slice(0, 12)}`);
      mkdirSync(folder, { recursive: true });
      writeFileSync(file, input);
      console.error(`${name}: input ${count} of seed ${seed} breaks it, kept in ${file}`);
      throw thrown;
    }
  }
  const perSecond = Number(values.inputs) / ((performance.now() - startMs) / 1_000);
  console.log(`${name}: ${values.inputs} inputs, ${seeds.length} seeds, ${Math.round(perSecond)} a second`);
}
