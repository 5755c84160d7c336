// Every check and test. Closes with the files that took longest and "N passed, N failed".
import { spawnSync } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

/**
 * Files that take longest, longest first: begun first, so that none of them is what everything waits for at the end. Most
 * of their time they wait for players, clocks and processes; the short files get the cores meanwhile.
 */
const long = [
  "test/e2e/playback.test.ts",
  "test/interop/llhls-two-origins.test.ts",
  "test/interop/llhls-stock-players.test.ts",
  "test/e2e/live-source.test.ts",
  "test/e2e/fresh-clone.test.ts",
  "test/e2e/drain.test.ts",
  "test/conformance/hls/hls-conformance.test.ts",
  "test/interop/llhls-players.test.ts",
  "test/e2e/webrtc-players.test.ts",
  "test/e2e/many-viewers.test.ts",
  "test/e2e/live-source.test.ts",
  "test/e2e/stock-players-move.test.ts",
  "test/e2e/churn.test.ts",
  "test/interop/llhls-stock-players.test.ts",
  "test/e2e/failover.test.ts",
  "test/conformance/claims-under-faults.test.ts",
  "infra/vm/vm.test.ts",
  "test/interop/rtsp-gstreamer.test.ts",
  "test/e2e/command.test.ts",
  "test/interop/llhls-subtitles.test.ts",
  "test/e2e/llhls-any-edge.test.ts",
  "test/interop/rtsp-frame-exact.test.ts",
  "test/interop/webrtc-transport.test.ts",
  "test/e2e/dns-round-robin.test.ts",
];
/** Files that use a core or more all the time, or whose player is to show every picture in time: never two of them at once. */
const crowded = new Set([
  "test/e2e/steered-mid-segment.test.ts",
  "test/e2e/llhls-any-edge.test.ts",
  "test/e2e/playback.test.ts",
  "test/interop/llhls-two-origins.test.ts",
  "test/e2e/fresh-clone.test.ts",
  "test/e2e/drain.test.ts",
  "test/e2e/many-viewers.test.ts",
  "test/e2e/command.test.ts",
  "test/conformance/claims-under-faults.test.ts",
  "infra/vm/vm.test.ts",
]);
const everywhere = ["media-node", "functions", "infra", "test"].map((folder) => `${folder}/**/*.test.ts`);
/** One more than there are cores: a file that waits costs none. */
const lanes = availableParallelism() + 1;

const only = process.argv.slice(2);
const startMs = performance.now();
if (only.length === 0) {
  const check = spawnSync(process.execPath, ["infra/check.ts"], { stdio: "inherit" });
  if (check.status !== 0) process.exit(1);
}
for (const file of [...long, ...crowded])
  if (!existsSync(file)) throw new Error(`${file} is gone: correct ${import.meta.filename}`);
// Types are taken out of each file once, not once for each test that loads it.
process.env["NODE_COMPILE_CACHE"] ??= join(process.cwd(), "node_modules/.cache/compiled");

let passed = 0;
let failed = 0;
const skipped: string[] = [];
const took: { file: string; seconds: number }[] = [];
const globs = only.length > 0 ? only : everywhere;
const files = new Set(globs.flatMap((glob) => globSync(glob, { exclude: (path) => path.includes("node_modules") })));
const longFiles = long.filter((file) => files.delete(file));
const shortFiles = [...files];
const running = new Set<string>();

await Promise.all(Array.from({ length: only.length > 0 ? 1 : lanes }, (_, lane) => work(lane)));
for (const { file, seconds } of took.toSorted((a, b) => b.seconds - a.seconds).slice(0, 10))
  console.log(`${seconds.toFixed(1).padStart(6)} s  ${file}`);
for (const name of skipped) console.log(`skipped: ${name}`);
const minutes = (performance.now() - startMs) / 60_000;
console.log(`\n${passed} passed, ${failed} failed, ${skipped.length} skipped in ${minutes.toFixed(1)} min`);
// A test that cannot run has to say what is missing; one that is skipped says nothing.
process.exit(failed > 0 || skipped.length > 0 || passed === 0 ? 1 : 0);

/** The first lane prefers short files, so that a simple mistake is soon seen; the others begin with the longest. */
async function work(lane: number): Promise<void> {
  const queues = lane === 0 ? [shortFiles, longFiles] : [longFiles, shortFiles];
  for (;;) {
    const file = take(queues);
    if (file !== undefined) await runFile(file);
    else if (queues.every((queue) => queue.length === 0)) return;
    else await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

function take(queues: readonly string[][]): string | undefined {
  const isCrowded = [...running].some((file) => crowded.has(file));
  for (const queue of queues) {
    const index = queue.findIndex((file) => !(isCrowded && crowded.has(file)));
    if (index >= 0) return queue.splice(index, 1)[0];
  }
  return undefined;
}

async function runFile(file: string): Promise<void> {
  running.add(file);
  const beganMs = performance.now();
  const events = run({ files: [file], concurrency: 1, timeout: 300_000 });
  events.on("test:pass", ({ details, skip, todo, name }) => {
    if (details.type === "suite") return;
    if (skip === undefined && todo === undefined) passed++;
    else skipped.push(name);
  });
  events.on("test:fail", () => void failed++);
  let text = "";
  for await (const part of events.compose(spec)) text += String(part);
  running.delete(file);
  const seconds = (performance.now() - beganMs) / 1_000;
  took.push({ file, seconds });
  // As a whole: of files that run at the same time nobody could tell the lines apart.
  console.log(`${file} (${seconds.toFixed(1)} s)\n${withoutTotals(text)}`);
}

/** Without the counts that a reporter closes each file with. */
function withoutTotals(text: string): string {
  const total = /^.*ℹ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+.*\n/gm;
  return text.replaceAll(total, "");
}
