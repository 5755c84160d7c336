import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "../../media-node/flow/logger.ts";
import type { NodeStore, StreamClaim } from "../../media-node/cluster/store/contract.ts";
import { connectRedisStore } from "../../media-node/stores/redis-store.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { createCluster } from "redis";
import { startRedisServer, type RedisServer } from "../support/redis-server.ts";
import { rawRedis } from "../support/redis-under-test.ts";
import { until } from "../support/until.ts";
import { clusterStoreContract } from "./cluster-store.ts";

/** Two servers, each with half of the slots. */
async function startCluster(): Promise<readonly RedisServer[]> {
  const settings = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
  const servers = [await startRedisServer(...settings), await startRedisServer(...settings)];
  for (const [index, server] of servers.entries()) {
    const { raw, close } = await rawRedis(server.url);
    await raw("CLUSTER", "ADDSLOTSRANGE", String(index * 8_192), String(index * 8_192 + 8_191));
    await raw("CLUSTER", "SET-CONFIG-EPOCH", String(index + 1));
    if (index === 1) await raw("CLUSTER", "MEET", "127.0.0.1", String(servers[0]!.port));
    await close();
  }
  for (const server of servers) {
    const { raw, close } = await rawRedis(server.url);
    await until("the cluster is whole", 20_000, async () => {
      const info = String(await raw("CLUSTER", "INFO"));
      return info.includes("cluster_state:ok") && info.includes("cluster_known_nodes:2");
    });
    await close();
  }
  return servers;
}

clusterStoreContract("a Redis Cluster", async () => {
  const servers = await startCluster();
  const client = createCluster({ RESP: 2, rootNodes: servers.map(({ url }) => ({ url })) });
  client.on("error", () => {});
  await client.connect();
  const stores: NodeStore[] = [];
  const url = `redis-cluster://${servers.map(({ port }) => `127.0.0.1:${port}`).join(",")}`;
  return {
    raw: (...command) => client.sendCommand(command[1], false, [...command]),
    async connect() {
      const store = await connectRedisStore({ url, clock: systemClock, logger: silentLogger, deadlineMs: 5_000 });
      stores.push(store);
      return store;
    },
    async close() {
      for (const store of stores) await store.close();
      client.destroy();
      for (const server of servers) await server.close();
    },
  };
});

test("a shard that hangs leaves the streams of the others alone, and comes back", async () => {
  await using stack = new AsyncDisposableStack();
  const servers = await startCluster();
  stack.defer(async () => void (await Promise.all(servers.map((server) => server.close()))));
  const url = `redis-cluster://127.0.0.1:${servers[0]!.port}`;
  const store = await connectRedisStore({ url, clock: systemClock, logger: silentLogger, deadlineMs: 1_000 });
  stack.defer(() => store.close());
  const { raw, close } = await rawRedis(servers[0]!.url);
  stack.defer(close);
  const claims = [[], []] as StreamClaim[][];
  for (let index = 0; index < 20; index++) {
    const claim = { vhost: "v", app: "app", stream: `s${index}`, url: `ovt://a:9000/app/s${index}`, owner: "a" };
    const slot = Number(await raw("CLUSTER", "KEYSLOT", `app/s${index}`));
    claims[slot < 8_192 ? 0 : 1]!.push(claim);
    // On a busy machine the deadline, short for what follows, may be missed before any shard hangs.
    await until("it is claimed", 20_000, () => store.claim(claim));
  }
  const [onFirst, onSecond] = claims;
  assert.ok(onFirst!.length > 0 && onSecond!.length > 0);
  servers[1]!.pause();
  const all = await Promise.allSettled([...onFirst!, ...onSecond!].map((claim) => store.claim(claim)));
  const expected = [...onFirst!.map(() => "fulfilled"), ...onSecond!.map(() => "rejected")];
  assert.deepEqual(
    all.map(({ status }) => status),
    expected,
  );
  servers[1]!.resume();
  await until("the shard answers again", 20_000, async () => (await store.claim(onSecond![0]!)).kind === "owner");
});
