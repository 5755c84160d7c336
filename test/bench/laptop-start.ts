// How long does a newcomer wait? From `npm start`, packages installed, to the ready line, beside starting Node.js once.
// Wanted: at most 5 s.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { machineEnv, RunningCommand } from "../support/command.ts";

const rounds = 5;
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

async function startOnce(): Promise<number> {
  const startMs = performance.now();
  await using command = new RunningCommand("npm", ["start"], { env: machineEnv({ HEARTH_ROUTER_PORT: "0" }) });
  const url = await command.ready(60_000);
  const elapsedMs = performance.now() - startMs;
  const resolved = await fetch(`${url}-/resolve/app/stream`);
  assert.equal(resolved.status, 200, "ready means playable");
  command.child.kill("SIGTERM");
  await command.exit;
  return elapsedMs;
}

function bareNode(): number {
  const startMs = performance.now();
  spawnSync(process.execPath, ["-e", "0"]);
  return performance.now() - startMs;
}

const cluster: number[] = [];
const bare: number[] = [];
for (let round = 0; round < rounds; round++) {
  bare.push(bareNode());
  cluster.push(await startOnce());
}
console.log(
  `ready after ${(median(cluster) / 1_000).toFixed(2)} s [${cluster.map((ms) => (ms / 1_000).toFixed(2)).join(" ")}], ` +
    `${(median(cluster) / median(bare)).toFixed(0)} × the start of one bare Node.js (${median(bare).toFixed(0)} ms)`,
);
