// What does a decision cost in a large cluster? CPU time to choose a node among 1,000 that carry 10,000 streams, with regions,
// load and recent assignments, beside the least that any affine choice costs: one rendezvous hash a node. Wanted: at most
// 0.2 ms, of which a Worker may spend five.
import assert from "node:assert/strict";
import { chooseNode } from "../../media-node/cluster/node-choice/choose-node.ts";
import { viewNode } from "../../media-node/cluster/node-choice/cluster-view.ts";
import { hashText, rendezvousScore } from "../../media-node/cluster/node-choice/rendezvous.ts";
import { nodeRecord } from "../support/router.ts";

const nodeCount = 1_000;
const streamCount = 10_000;
const decisions = 5_000;
const rounds = 7;
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

function millisecondsEach(choose: (index: number) => string): number {
  const chosen = new Set<string>();
  const before = process.threadCpuUsage();
  for (let index = 0; index < decisions; index++) chosen.add(choose(index));
  const { user, system } = process.threadCpuUsage(before);
  assert.ok(chosen.size > 100, "the streams are not spread");
  return (user + system) / 1_000 / decisions;
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;

const whole: number[] = [];
const hash: number[] = [];
for (let round = 0; round < rounds; round++) {
  whole.push(millisecondsEach(decide));
  hash.push(millisecondsEach(hashOnly));
}
const [wholeMs, hashMs] = [median(whole.slice(1)), median(hash.slice(1))];
const figures = { decisionMs: wholeMs.toFixed(4), hashMs: hashMs.toFixed(4), wantedMs };
console.log(`router-decision: ${(wholeMs / hashMs).toFixed(1)} × the time of hashing alone`, figures);
process.exitCode = wholeMs <= wantedMs ? 0 : 1;
