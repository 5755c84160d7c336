import assert from "node:assert/strict";
import { test } from "node:test";
import { nodeRecord, secret } from "../../../test/support/router.ts";
import type { NodeRecord } from "../store/contract.ts";
import { signNodeRecord } from "../store/node-record.ts";
import { importSigningKey } from "../ticket/signing-key.ts";
import { ClusterViewReader } from "./cluster-view.ts";
import { RecentAssignments } from "./recent-assignments.ts";

const key = await importSigningKey(secret);
const startMs = 1_000_000;

const snapshot = async (nowMs: number, records: readonly NodeRecord[], more: readonly string[] = []) => ({
  nowMs,
  nodes: [...(await Promise.all(records.map((record) => signNodeRecord(key, record, nowMs)))), ...more],
  origins: [],
});
const idsOf = (view: { nodes: readonly { record: NodeRecord; isSilent: boolean }[] }, isSilent: boolean) =>
  view.nodes.filter((node) => node.isSilent === isSilent).map(({ record }) => record.id);

test("a node that stops reporting is remembered for a minute, as silent", async () => {
  const reader = new ClusterViewReader(key);
  await reader.read(await snapshot(startMs, [nodeRecord("a"), nodeRecord("b")]));
  const soon = await reader.read(await snapshot(startMs + 10_000, [nodeRecord("a")]));
  assert.deepEqual([idsOf(soon, false), idsOf(soon, true)], [["a"], ["b"]]);
  const later = await reader.read(await snapshot(startMs + 61_000, [nodeRecord("a")]));
  assert.deepEqual([idsOf(later, false), idsOf(later, true)], [["a"], []]);
});

test("a record that stays the same for 3 s is late, whatever its node's clock says", async () => {
  const reader = new ClusterViewReader(key);
  const text = await signNodeRecord(key, nodeRecord("a"), startMs + 2_500);
  const isLateAt = async (nowMs: number) => (await reader.read({ nowMs, nodes: [text], origins: [] })).nodes[0]!.isLate;
  assert.equal(await isLateAt(startMs), false);
  assert.equal(await isLateAt(startMs + 3_000), false);
  assert.equal(await isLateAt(startMs + 3_500), true);
  const renewed = await signNodeRecord(key, nodeRecord("a"), startMs + 4_000);
  const view = await reader.read({ nowMs: startMs + 4_000, nodes: [renewed], origins: [] });
  assert.equal(view.nodes[0]!.isLate, false);
});

test("a node that was draining and leaves is forgotten at once", async () => {
  const reader = new ClusterViewReader(key);
  await reader.read(await snapshot(startMs, [nodeRecord("a"), nodeRecord("b", { state: "draining" })]));
  const view = await reader.read(await snapshot(startMs + 1_000, [nodeRecord("a")]));
  assert.deepEqual(idsOf(view, true), []);
});

test("a record of before is not believed once more after its lease", async () => {
  const reader = new ClusterViewReader(key);
  const old = await signNodeRecord(key, nodeRecord("a"), startMs);
  assert.equal((await reader.read(await snapshot(startMs + 5_000, [], [old]))).refused.length, 0);
  const view = await reader.read(await snapshot(startMs + 20_000, [], [old]));
  assert.deepEqual(idsOf(view, false), []);
  assert.match(view.refused[0]!.reason, /too long ago/);
});

test("of two records of one node the later signed counts", async () => {
  const reader = new ClusterViewReader(key);
  const texts = await Promise.all([
    signNodeRecord(key, nodeRecord("a", { viewers: 2 }), startMs),
    signNodeRecord(key, nodeRecord("a", { viewers: 1 }), startMs - 2_000),
  ]);
  const view = await reader.read(await snapshot(startMs, [], texts));
  assert.deepEqual(
    view.nodes.map(({ record }) => record.viewers),
    [2],
  );
});

test("a node at a host that is not allowed is refused, signed or not", async () => {
  const reader = new ClusterViewReader(key, (host) => host.endsWith(".good.test"));
  const nodes = [nodeRecord("a", { url: "https://a.good.test" }), nodeRecord("b", { url: "https://b.evil.test" })];
  const view = await reader.read(await snapshot(startMs, nodes));
  assert.deepEqual(idsOf(view, false), ["a"]);
  assert.match(view.refused[0]!.reason, /allowed hosts/);
});

test("assignments are counted until the reports can count them", () => {
  const recent = new RecentAssignments();
  for (let atMs = 0; atMs < 8_000; atMs += 10) recent.add("a", atMs % 20 === 0 ? "v/a/one" : "v/a/other", atMs);
  assert.equal(recent.counts(8_000).get("a"), 375);
  assert.equal(recent.about("v/a/one", 8_000).assignedToStream?.get("a"), 187);
  assert.equal(recent.counts(20_000).get("a"), undefined);
  assert.equal(recent.about("v/a/one", 20_000).assignedToStream, undefined);
});
