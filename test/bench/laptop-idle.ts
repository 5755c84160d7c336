// What does a cluster cost that nobody watches? CPU and memory of all its processes (workerd aside) over 20 s, as a share of
// one core. Wanted: at most 5 % and 450 MB.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { machineEnv, RunningCommand } from "../support/command.ts";

const settleMs = 15_000;
const measureMs = 20_000;
const ticksPerSecond = 100;

interface ProcessCost {
  readonly cpuMs: number;
  /** Resident, and the part of it that is not shared with others. */
  readonly residentMb: number;
  readonly proportionalMb: number;
}

function costOf(pid: number): ProcessCost {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const memory = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const kilobytes = (key: string): number => Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(memory)?.[1] ?? 0);
  return {
    cpuMs: ((Number(fields[11]) + Number(fields[12])) * 1_000) / ticksPerSecond,
    residentMb: kilobytes("Rss") / 1_024,
    proportionalMb: kilobytes("Pss") / 1_024,
  };
}

await using command = new RunningCommand("npm", ["start"], { env: machineEnv({ HEARTH_ROUTER_PORT: "0" }) });
await command.ready(60_000);
await sleep(settleMs);
const isCounted = (pid: number): boolean => {
  const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  return line.includes("/media-node/main.ts") || line.includes("infra/laptop/main.ts");
};
const family = command.family().filter(isCounted);
assert.equal(family.length, 4, "launcher, origin and two edges");
const before = family.map(costOf);
await sleep(measureMs);
const after = family.map(costOf);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const cpuMs = sum(after.map(({ cpuMs: now }, index) => now - before[index]!.cpuMs));
console.log(
  `idle: ${((cpuMs / measureMs) * 100).toFixed(1)} % of one core; ` +
    `${sum(after.map(({ proportionalMb }) => proportionalMb)).toFixed(0)} MB, shared pages counted once ` +
    `(${sum(after.map(({ residentMb }) => residentMb)).toFixed(0)} MB resident, counted in each of the ${family.length} processes)`,
);
command.child.kill("SIGTERM");
await command.exit;
