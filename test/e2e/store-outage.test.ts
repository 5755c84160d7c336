// Twenty nodes, a thousand streams, one redis-server that ends and comes back with nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterStore, NodeRecord } from "../../media-node/cluster/store/contract.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { Announcer } from "../../media-node/stores/announcer.ts";
import { connectRedisStore } from "../../media-node/stores/redis-store.ts";
import { Registrar } from "../../media-node/stores/registrar.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { until } from "../support/until.ts";

const nodeCount = 20;
const streamsPerNode = 50;
/** One lease: what the streams of a store that lost everything may take to be whole again. */
const withinMs = 10_000;

interface Node {
  readonly id: string;
  readonly store: ClusterStore;
  readonly registrar: Registrar;
  readonly announcer: Announcer;
}

const nameOf = (stream: string) => ({ vhost: "default", app: "app", stream });
const claimOf = (id: string, stream: string) => ({
  ...nameOf(stream),
  url: `ovt://${id}:9000/app/${stream}`,
  owner: id,
});

async function openNode(id: string, url: string): Promise<Node> {
  const common = { clock: systemClock, logger: silentLogger };
  const store = await connectRedisStore({ ...common, url, deadlineMs: 1_000 });
  const record = (): NodeRecord => ({
    id,
    url: `http://${id}:3333`,
    state: "serving",
    protocols: ["llhls"],
    region: "",
    viewers: 0,
    maxViewers: 100,
    egressBps: 0,
    cpu: 0,
    streams: {},
    origins: [],
    startedMs: 0,
  });
  const announcer = new Announcer({ ...common, store, id, record, sign: (record) => JSON.stringify(record) });
  const registrar = new Registrar({ ...common, store });
  for (let index = 0; index < streamsPerNode; index++) registrar.add(claimOf(id, `${id}-${index}`));
  return { id, store, registrar, announcer };
}

async function isWhole(reader: ClusterStore, nodes: readonly Node[], extra: readonly string[] = []): Promise<boolean> {
  const names = nodes.flatMap(({ id }) => Array.from({ length: streamsPerNode }, (_, index) => `${id}-${index}`));
  const found = await Promise.all([...names, ...extra].map((stream) => reader.lookup(nameOf(stream))));
  const { nodes: records } = await reader.snapshot(nameOf("none"));
  return found.every((urls) => urls.length === 1) && records.length === nodes.length;
}

test("a store that comes back empty is whole again within one lease, with what began meanwhile", async () => {
  await using stack = new AsyncDisposableStack();
  const server = await startRedisServer();
  stack.defer(() => server.close());
  const nodes: Node[] = [];
  stack.defer(async () => {
    await Promise.all(nodes.map(({ announcer, registrar }) => Promise.all([announcer.close(), registrar.close()])));
    await Promise.all(nodes.map(({ store }) => store.close()));
  });
  for (let index = 0; index < nodeCount; index++) nodes.push(await openNode(`n${index}`, server.url));
  const reader = nodes[0]!.store;
  await until("all streams and nodes are registered", withinMs, () => isWhole(reader, nodes));

  await server.kill();
  nodes[3]!.registrar.add(claimOf("n3", "begun-meanwhile"));
  await assert.rejects(reader.lookup(nameOf("n1-1")), /store/i);
  await server.start();
  await until("all are back", withinMs, () => isWhole(reader, nodes, ["begun-meanwhile"]));

  server.pause();
  await assert.rejects(reader.lookup(nameOf("n1-1")), /deadline|did not answer|Socket|lost/i);
  server.resume();
  await until("all are back after a silence", withinMs, () => isWhole(reader, nodes, ["begun-meanwhile"]));

  // Gone on purpose is gone at once.
  const [leaving] = nodes.splice(5, 1);
  await Promise.all([leaving!.announcer.close(), leaving!.registrar.close()]);
  assert.deepEqual(await reader.lookup(nameOf("n5-0")), []);
  assert.equal((await reader.snapshot(nameOf("none"))).nodes.length, nodeCount - 1);
  await leaving!.store.close();
});
