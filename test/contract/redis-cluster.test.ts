import { silentLogger } from "../../media-node/flow/logger.ts";
import type { ClusterStore } from "../../media-node/cluster/store/contract.ts";
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
  const stores: ClusterStore[] = [];
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
