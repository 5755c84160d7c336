// Every check and test. Closes with the files that took longest, the names of what failed, and "N passed, N failed".
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

/** What a file's tests came to. */
interface Outcome {
  readonly file: string;
  readonly passed: number;
  /** Names, with the line each stands in. */
  readonly failed: readonly string[];
  readonly skipped: readonly string[];
  readonly seconds: number;
}
const outcomes = new Map<string, Outcome>();
const globs = only.length > 0 ? only : everywhere;
const files = new Set(globs.flatMap((glob) => globSync(glob, { exclude: (path) => path.includes("node_modules") })));
const longFiles = long.filter((file) => files.delete(file));
const shortFiles = [...files];
const running = new Set<string>();

await Promise.all(Array.from({ length: only.length > 0 ? 1 : lanes }, (_, lane) => work(lane)));
const unsteady = only.length > 0 ? [] : await runAgainAlone();

const all = [...outcomes.values()];
for (const { file, seconds } of all.toSorted((a, b) => b.seconds - a.seconds).slice(0, 10))
  console.log(`${seconds.toFixed(1).padStart(6)} s  ${file}`);
for (const { file, skipped } of all) for (const name of skipped) console.log(`skipped: ${file}: ${name}`);
for (const { file, failed } of unsteady)
  for (const name of failed) console.log(`failed beside other files, passed alone: ${file}: ${name}`);
for (const { file, failed } of all) for (const name of failed) console.log(`failed: ${file}: ${name}`);
const passed = sum(({ passed }) => passed);
const failed = sum(({ failed }) => failed.length);
const skipped = sum(({ skipped }) => skipped.length);
const minutes = (performance.now() - startMs) / 60_000;
console.log(`\n${passed} passed, ${failed} failed, ${skipped} skipped in ${minutes.toFixed(1)} min`);
// A test that cannot run has to say what is missing; one that is skipped says nothing.
process.exit(failed > 0 || skipped > 0 || passed === 0 ? 1 : 0);

function sum(of: (outcome: Outcome) => number): number {
  return all.reduce((total, outcome) => total + of(outcome), 0);
}

/**
 * Runs once more, with the machine to itself, what failed beside other files: a player that must not miss a picture may have
 * lost the core to three others. What fails again has failed; what does not is named all the same. Many failures at once are
 * no matter of cores.
 *
 * @returns first outcomes of files whose tests all passed alone
 */
async function runAgainAlone(): Promise<Outcome[]> {
  const first = [...outcomes.values()].filter(({ failed }) => failed.length > 0);
  if (first.length > 3) return [];
  for (const { file } of first) {
    console.log(`\nOnce more, alone:`);
    await runFile(file);
  }
  return first.filter(({ file }) => outcomes.get(file)?.failed.length === 0);
}

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
  let passed = 0;
  const failed: string[] = [];
  const skipped: string[] = [];
  const events = run({ files: [file], concurrency: 1, timeout: 300_000 });
  events.on("test:pass", ({ details, skip, todo, name }) => {
    if (details.type === "suite") return;
    if (skip === undefined && todo === undefined) passed++;
    else skipped.push(name);
  });
  events.on("test:fail", ({ name, line }) => void failed.push(`${name} (line ${String(line ?? "unknown")})`));
  let text = "";
  for await (const part of events.compose(spec)) text += String(part);
  running.delete(file);
  const seconds = (performance.now() - beganMs) / 1_000;
  outcomes.set(file, { file, passed, failed, skipped, seconds });
  // As a whole: of files that run at the same time nobody could tell the lines apart.
  console.log(`${file} (${seconds.toFixed(1)} s)\n${withoutTotals(text)}`);
}

/** Without the counts that a reporter closes each file with. */
function withoutTotals(text: string): string {
  const total = /^.*ℹ (tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+.*\n/gm;
  return text.replaceAll(total, "");
}
