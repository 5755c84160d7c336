import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { NodeRecord } from "../store/contract.ts";
import { chooseNode, type NodeRequest } from "./choose-node.ts";
import { viewNode, type ClusterView } from "./cluster-view.ts";

const stream = { vhost: "default", app: "app", stream: "stream" };
const key = "default/app/stream";

function node(id: string, more: Partial<NodeRecord> = {}): NodeRecord {
  return {
    id,
    url: `https://${id}.example`,
    state: "serving",
    protocols: ["webrtc", "whep", "llhls"],
    region: "",
    viewers: 0,
    maxViewers: 1_000,
    egressBps: 0,
    cpu: 0,
    streams: {},
    origins: [],
    startedMs: 0,
    ...more,
  };
}

function view(live: NodeRecord[], silent: NodeRecord[] = []): ClusterView {
  const nodes = [
    ...live.map((record) => viewNode(record)),
    ...silent.map((record) => viewNode(record, { isSilent: true })),
  ];
  return { nowMs: 0, nodes, refused: [] };
}

const choose = (live: NodeRecord[], more: Partial<NodeRequest> = {}, silent: NodeRecord[] = []) =>
  chooseNode(view(live, silent), { name: stream, protocol: "llhls", ...more });
const chosen = (...given: Parameters<typeof choose>) => choose(...given).node?.id;

const ten = Array.from({ length: 10 }, (_, index) => node(`edge${index}`));
const names = Array.from({ length: 2_000 }, (_, index) => ({ ...stream, stream: `s${index}` }));

describe("without load", () => {
  test("a stream has its node, whatever the order of the list", () => {
    for (const name of names.slice(0, 100)) assert.equal(chosen(ten, { name }), chosen(ten.toReversed(), { name }));
  });

  test("streams spread evenly", () => {
    const counts = new Map<string, number>();
    for (const name of names) counts.set(chosen(ten, { name })!, (counts.get(chosen(ten, { name })!) ?? 0) + 1);
    assert.equal(counts.size, 10);
    for (const count of counts.values())
      assert.ok(count > 140 && count < 260, `${count} of 2,000 streams on one of ten`);
  });

  test("a node of twice the capacity gets twice the streams", () => {
    const nodes = [node("small"), node("large", { maxViewers: 2_000 })];
    const large = names.filter((name) => chosen(nodes, { name }) === "large").length;
    assert.ok(large > 1_230 && large < 1_430, `${large} of 2,000`);
  });

  test("only the streams of a node that leaves move", () => {
    const left = ten.filter(({ id }) => id !== "edge3");
    const moved = names.filter((name) => chosen(ten, { name }) !== chosen(left, { name }));
    assert.ok(moved.every((name) => chosen(ten, { name }) === "edge3"));
    assert.ok(moved.length <= (1.2 * names.length) / 10, `${moved.length} moved`);
  });
});

describe("with load", () => {
  test("a node that carries the stream comes first, as relay or as origin", () => {
    const other = ten.find(({ id }) => id !== chosen(ten))!;
    for (const more of [{ streams: { [key]: 1 } }, { origins: [key] }]) {
      const nodes = ten.map((each) => (each === other ? node(other.id, more) : each));
      const choice = choose(nodes);
      assert.equal(choice.node?.id, other.id);
      assert.match(choice.reason, /carries the stream already/);
    }
  });

  test("above 1.2 × the mean the stream spills to the next, and the reason says so", () => {
    const nodes = ten.map((each) => node(each.id, { viewers: 500 }));
    const first = chosen(nodes)!;
    const loaded = nodes.map((each) =>
      each.id === first ? node(first, { viewers: 620, streams: { [key]: 620 } }) : each,
    );
    const choice = choose(loaded);
    assert.notEqual(choice.node?.id, first);
    assert.match(choice.reason, /passed over for load/);
  });

  test("while everyone is nearly idle it does not spill", () => {
    const nodes = ten.map((each, index) => node(each.id, index === 0 ? { viewers: 40, streams: { [key]: 40 } } : {}));
    assert.equal(chosen(nodes), "edge0");
  });

  test("viewers assigned since the last report count", () => {
    const first = chosen(ten)!;
    assert.notEqual(chosen(ten, { assigned: new Map([[first, 500]]) }), first);
  });

  test("20,000 joins of one new stream between two reports fill ten nodes evenly", () => {
    const nodes = ten.map(({ id }) => node(id, { maxViewers: 5_000 }));
    const assigned = new Map<string, number>();
    for (let viewer = 0; viewer < 20_000; viewer++) {
      const id = chosen(nodes, { assigned })!;
      assigned.set(id, (assigned.get(id) ?? 0) + 1);
    }
    const loads = nodes.map(({ id }) => assigned.get(id) ?? 0);
    assert.ok(Math.max(...loads) <= 1.25 * 2_000, `most loaded ${Math.max(...loads)}`);
  });

  test("a busy node is passed over while another is not", () => {
    const nodes = [node("busy", { cpu: 0.95, streams: { [key]: 1 } }), node("calm")];
    assert.equal(chosen(nodes), "calm");
    assert.equal(chosen([nodes[0]!]), "busy");
  });

  test("a node without a limit is never full", () => {
    assert.equal(chosen([node("any", { maxViewers: 0, viewers: 100_000 })]), "any");
  });
});

describe("nearness", () => {
  const place = { continent: "EU", country: "DE", colo: "FRA" };
  const far = node("far", { region: "NA/US", streams: { [key]: 1 } });

  test("comes before carrying the stream", () => {
    assert.equal(chosen([far, node("near", { region: "EU" })], { place }), "near");
  });

  test("the data centre before the country before the continent", () => {
    const nodes = [node("eu", { region: "EU" }), node("de", { region: "eu/de" }), node("fra", { region: "EU,DE,FRA" })];
    assert.equal(chosen(nodes, { place }), "fra");
    assert.equal(chosen(nodes.slice(0, 2), { place }), "de");
  });

  test("gives way when everyone near is busy", () => {
    assert.equal(chosen([far, node("near", { region: "EU", viewers: 950 })], { place }), "far");
  });

  test("load elsewhere does not push viewers away from their region", () => {
    const nodes = [node("near", { region: "EU", viewers: 600 }), node("far1"), node("far2")];
    assert.equal(chosen(nodes, { place }), "near");
  });
});

describe("who is left out", () => {
  const good = node("good");
  for (const [reason, more] of [
    [/is draining/, { state: "draining" }],
    [/is starting/, { state: "starting" }],
    [/does not deliver llhls/, { protocols: ["webrtc"] }],
    [/is full: 1000 of 1000 viewers/, { viewers: 1_000 }],
  ] as const) {
    test(String(reason), () => {
      const choice = choose([node("bad", more), good]);
      assert.equal(choice.node?.id, "good");
      assert.equal(choice.excluded[0]?.node, "bad");
      assert.match(choice.excluded[0].reason, reason);
    });
  }

  test("who failed a moment ago", () => {
    assert.equal(chosen([node("bad"), good], { avoid: new Set(["bad"]) }), "good");
  });

  test("when nobody is left the reason counts why", () => {
    const choice = choose([node("a", { state: "draining" }), node("b", { state: "draining" })]);
    assert.equal(choice.node, undefined);
    assert.match(choice.reason, /2 × it is draining/);
    assert.match(choose([]).reason, /no node has reported/);
  });
});

describe("missing reports", () => {
  test("a node that fell silent gets no viewer while half of them report", () => {
    assert.equal(chosen([node("live")], {}, [node("silent", { streams: { [key]: 5 } })]), "live");
    assert.equal(chosen([node("live", { state: "draining" })], {}, [node("silent")]), undefined);
  });

  test("when fewer than half report, nobody is refused: the silent ones are used after the live ones", () => {
    const silent = ten.slice(0, 6);
    assert.ok(["edge6", "edge7", "edge8", "edge9"].includes(chosen(ten.slice(6), {}, silent)!));
    const full = ten.slice(6).map(({ id }) => node(id, { viewers: 1_000 }));
    const choice = choose(full, {}, silent);
    assert.ok(silent.some(({ id }) => id === choice.node?.id));
    assert.match(choice.reason, /report is missing/);
    assert.ok(chosen([], {}, silent));
  });
});

test("a node whose report is late waits behind the others: it may just have died", () => {
  const carrier = viewNode(node("late", { streams: { [key]: 5 } }), { isLate: true });
  const nodes = [carrier, viewNode(node("busy", { cpu: 1 }))];
  const choice = chooseNode({ nowMs: 0, nodes, refused: [] }, { name: stream, protocol: "llhls" });
  assert.equal(choice.node?.id, "busy");
  const alone = chooseNode({ nowMs: 0, nodes: [carrier], refused: [] }, { name: stream, protocol: "llhls" });
  assert.equal(alone.node?.id, "late");
});

test("runners-up are the nodes that would be next", () => {
  const choice = choose(ten);
  assert.ok(choice.node);
  assert.equal(choice.runnersUp.length, 3);
  const without = ten.filter(({ id }) => id !== choice.node.id);
  assert.equal(chosen(without), choice.runnersUp[0]?.node);
});
