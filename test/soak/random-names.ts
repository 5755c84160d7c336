// Names that nobody has, a million of them, asked for as fast as they come: memory stays flat, upstreams hardly notice. Arguments: seconds, requests a second, clients.
import assert from "node:assert/strict";
import { loadavg } from "node:os";
import { askForNobody } from "../support/random-names.ts";

const [seconds = 600, perSecond = 2_000, clients = 200] = process.argv.slice(2).map(Number);
const { sent, answers, connects, memoryMb, viewer, cpuMsPerRequest } = await askForNobody({
  seconds,
  perSecond,
  clients,
});
const statuses = Object.entries(answers).map(([status, count]) => `${count} × ${status}`);
const peak = Math.max(...connects);
console.log(
  `random-names: ${sent} requests in ${seconds} s by ${clients} clients (${statuses.join(", ")}); upstream connects a second at most ` +
    `${peak}, mean ${(connects.reduce((sum, count) => sum + count, 0) / connects.length).toFixed(1)}; RSS ${memoryMb.join(", ")} MB, ${cpuMsPerRequest.toFixed(2)} ms of CPU a request; ` +
    `a viewer's playlist meanwhile p99 ${viewer.p99Ms.toFixed(0)} ms, ${viewer.failed} failed; load ${loadavg()[0]!.toFixed(1)}`,
);
assert.ok(peak <= 50, "at most 50 upstream connects a second");
assert.equal(viewer.failed, 0);
// The first tenths warm up; from then on nothing may pile up.
assert.ok(memoryMb.at(-1)! <= memoryMb[2]! * 1.15, "memory is flat");
