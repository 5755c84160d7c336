import { startEmbeddedRedis } from "../../media-node/stores/embedded-redis.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { upstashUnderTest } from "../support/upstash-under-test.ts";
import { clusterStoreContract } from "./cluster-store.ts";

clusterStoreContract("@upstash/redis through the bridge on redis-server", async () => {
  const server = await startRedisServer();
  return upstashUnderTest(server.url, () => server.close());
});

clusterStoreContract("@upstash/redis through the bridge on the embedded store", async () => {
  const server = await startEmbeddedRedis();
  return upstashUnderTest(server.url, () => server.close());
});
