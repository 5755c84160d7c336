// 100 cameras are connected to and left, 10,000 times in all: memory flat, sockets and timers back to zero.
import assert from "node:assert/strict";
import { churnCameras } from "../support/rtsp-churn.ts";

const cycles = Number(process.argv[2] ?? 10_000);
const began = performance.now();
const residues = await churnCameras(100, cycles);
const megabytes = (of: "heapBytes" | "rssBytes"): string =>
  residues.map((one) => (one[of] / 1e6).toFixed(1)).join(", ");
for (const { sockets, timers } of residues) assert.deepEqual([sockets, timers], [0, 0]);
// The first three tenths warm up; from then on nothing may pile up.
const grown = residues.at(-1)!.heapBytes - residues[2]!.heapBytes;
assert.ok(grown < 2e6, `the heap grew by ${grown} bytes: ${megabytes("heapBytes")} MB`);
const seconds = ((performance.now() - began) / 1_000).toFixed(0);
console.log(`rtsp-churn: ${cycles} connections in ${seconds} s, no socket and no timer left`);
console.log(`heap ${megabytes("heapBytes")} MB; RSS ${megabytes("rssBytes")} MB`);
