import assert from "node:assert/strict";
import { test } from "node:test";
import { ClusterViewReader } from "#cluster/node-choice/cluster-view.ts";
import type { ClusterReader, ClusterSnapshot } from "#cluster/store/contract.ts";
import { ClusterMemory } from "./cluster-memory.ts";

const name = { vhost: "default", app: "app", stream: "stream" };
const snapshotAt = (nowMs: number): ClusterSnapshot => ({
  nowMs,
  nodes: [],
  origins: ["ovt://origin:9000/app/stream"],
});

test("a slow answer of the store does not take the place of a later one", async () => {
  const answers: ((snapshot: ClusterSnapshot) => void)[] = [];
  const reader: ClusterReader = {
    snapshot: () => new Promise((resolve) => answers.push(resolve)),
    lookup: () => Promise.resolve([]),
  };
  const memory = new ClusterMemory(reader, new ClusterViewReader(undefined));
  const slow = memory.see(name, false, { nowMs: 0 });
  const quick = memory.see(name, false, { nowMs: 200 });
  answers[1]!(snapshotAt(200));
  await quick;
  answers[0]!(snapshotAt(0));
  await slow;

  const sight = await memory.see(name, false, { nowMs: 1_100 });

  assert.deepEqual([sight?.from, sight?.ageMs, sight?.view.nowMs], ["memory", 900, 200]);
});
