// Every check and test, in the order in which a failure is cheapest to see. Closes with "N passed, N failed".
import { spawnSync } from "node:child_process";
import { globSync } from "node:fs";
import { run } from "node:test";
import { spec } from "node:test/reporters";

/** Files beside the code and those that mostly wait for a player share the machine; whole clusters run alone. */
const rounds = [
  {
    concurrency: 2,
    globs: ["media-node/**/*.test.ts", "functions/**/*.test.ts", "infra/**/*.test.ts", "test/*.test.ts"],
  },
  { concurrency: 2, globs: ["test/{contract,conformance,fuzz}/**/*.test.ts"] },
  { concurrency: 2, globs: ["test/interop/**/*.test.ts"] },
  { concurrency: 1, globs: ["test/e2e/**/*.test.ts"] },
];

const only = process.argv.slice(2);
if (only.length === 0) {
  const check = spawnSync(process.execPath, ["infra/check.ts"], { stdio: "inherit" });
  if (check.status !== 0) process.exit(1);
}
let passed = 0;
let failed = 0;
const skipped: string[] = [];
for (const { concurrency, globs } of only.length > 0 ? [{ concurrency: 1, globs: only }] : rounds) {
  const files = globs.flatMap((glob) => globSync(glob, { exclude: (path) => path.includes("node_modules") }));
  if (files.length > 0) await runFiles(files, concurrency);
}
for (const name of skipped) console.log(`skipped: ${name}`);
console.log(`\n${passed} passed, ${failed} failed, ${skipped.length} skipped`);
// A test that cannot run has to say what is missing; one that is skipped says nothing.
process.exit(failed > 0 || skipped.length > 0 || passed === 0 ? 1 : 0);

async function runFiles(files: string[], concurrency: number): Promise<void> {
  const events = run({ files, concurrency, timeout: 300_000 });
  events.on("test:pass", ({ details, skip, todo, name }) => {
    if (details.type === "suite") return;
    if (skip === undefined && todo === undefined) passed++;
    else skipped.push(name);
  });
  events.on("test:fail", () => void failed++);
  const finished = new Promise((resolve) => events.once("close", resolve));
  events.compose(spec).pipe(process.stdout, { end: false });
  await finished;
}
