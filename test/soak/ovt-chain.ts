// A three-hop chain moves a million samples: none lost, none repeated, none out of order, no timestamp changed, memory flat.
import assert from "node:assert/strict";
import { runChain } from "../support/ovt-chain.ts";

const count = Number(process.argv[2] ?? 1_000_000);
const { samples, memory, seconds } = await runChain(count, 3);
const megabytes = memory.map((bytes) => Math.round(bytes / 1e6));
// The first tenths warm up; from then on nothing may pile up.
assert.ok(memory.at(-1)! < memory[2]! * 1.25, `memory grew: ${megabytes.join(", ")} MB`);
console.log(`ovt-chain: ${samples} samples over 3 hops in ${seconds.toFixed(0)} s, RSS ${megabytes.join(", ")} MB`);
