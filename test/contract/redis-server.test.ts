import { redisUnderTest } from "../support/redis-under-test.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { clusterStoreContract } from "./cluster-store.ts";

clusterStoreContract("redis-server", async () => {
  const server = await startRedisServer();
  return redisUnderTest(server.url, () => server.close());
});
