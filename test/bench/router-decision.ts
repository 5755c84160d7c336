// What does a decision cost in a large cluster? CPU time to choose a node among 1,000 that carry 10,000 streams, with regions,
// load and recent assignments, beside the least that any affine choice costs: one rendezvous hash a node. Wanted: at most
// 0.2 ms for 99 of 100, of which a Worker may spend five. Each request is decided
// several times and its best time counts: whatever else runs on the machine can only add.
import assert from "node:assert/strict";
import { loadavg } from "node:os";
import koffi from "koffi";
import { chooseNode } from "../../media-node/cluster/node-choice/choose-node.ts";
import { viewNode } from "../../media-node/cluster/node-choice/cluster-view.ts";
import { hashText, rendezvousScore } from "../../media-node/cluster/node-choice/rendezvous.ts";
import { nodeRecord } from "../support/router.ts";

const nodeCount = 1_000;
const streamCount = 10_000;
const decisions = 2_000;
const rounds = 12;
const wantedMs = 0.2;

const streamName = (index: number): string => `s${index % streamCount}`;
const regions = ["EU/DE/FRA", "EU/FR/CDG", "NA/US/IAD", "AS/JP/NRT"];
const nodes = Array.from({ length: nodeCount }, (_, index) =>
  viewNode(
    nodeRecord(`edge-${index}`, {
      region: regions[index % regions.length]!,
      viewers: (index * 7_919) % 500,
      streams: Object.fromEntries(
        Array.from({ length: 20 }, (_, slot) => [`default/app/${streamName(index * 20 + slot)}`, 3]),
      ),
    }),
  ),
);
const view = { nowMs: 0, nodes, refused: [] };
const assigned = new Map(nodes.slice(0, 300).map(({ record }) => [record.id, 2]));
const place = { continent: "EU", country: "DE", colo: "FRA" };

function decide(index: number): string {
  const name = { vhost: "default", app: "app", stream: streamName(index) };
  const choice = chooseNode(view, { name, protocol: "llhls", assigned, place });
  assert.ok(choice.node);
  assert.equal(choice.node.region, "EU/DE/FRA");
  return choice.node.id;
}

function hashOnly(index: number): string {
  const keyHash = hashText(`default/app/${streamName(index)}`);
  let best = nodes[0]!;
  let bestScore = -1;
  for (const node of nodes) {
    const score = rendezvousScore(keyHash, node.hash, node.record.maxViewers);
    if (score > bestScore) [best, bestScore] = [node, score];
  }
  return best.record.id;
}

const threadClock = koffi.load(null).func("int clock_gettime(int clock, _Out_ int64_t *time)");
const time = new BigInt64Array(2);

/** Of this thread, to the nanosecond (clock_gettime(2), CLOCK_THREAD_CPUTIME_ID): Node's own counter moves by milliseconds. */
function threadCpuMs(): number {
  assert.equal(threadClock(3, time), 0);
  return Number(time[0]) * 1_000 + Number(time[1]) / 1e6;
}

/** The best time of each decision, in order of size. */
function timesOf(choose: (index: number) => string): Float64Array {
  const chosen = new Set<string>();
  const times = new Float64Array(decisions).fill(Number.POSITIVE_INFINITY);
  for (let round = 0; round < rounds; round++) {
    let lastMs = threadCpuMs();
    for (let index = 0; index < decisions; index++) {
      chosen.add(choose(index));
      const nowMs = threadCpuMs();
      times[index] = Math.min(times[index]!, nowMs - lastMs);
      lastMs = nowMs;
    }
  }
  assert.ok(chosen.size > 100, "the streams are not spread");
  return times.sort();
}

const meanOf = (times: Float64Array): number => times.reduce((sum, time) => sum + time, 0) / times.length;
const [whole, hash] = [timesOf(decide), timesOf(hashOnly)];
const [meanMs, hashMs] = [meanOf(whole), meanOf(hash)];
const p99Ms = whole[Math.floor(decisions * 0.99)]!;
const figures = { p99Ms: p99Ms.toFixed(3), meanMs: meanMs.toFixed(3), wantedMs };
console.log(
  `router-decision: ${(meanMs / hashMs).toFixed(1)} × the time of hashing alone (load ${loadavg()[0]!.toFixed(1)})`,
  figures,
);
process.exitCode = p99Ms <= wantedMs ? 0 : 1;
