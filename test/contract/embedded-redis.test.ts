import { startEmbeddedRedis } from "../../media-node/stores/embedded-redis.ts";
import { redisUnderTest } from "../support/redis-under-test.ts";
import { clusterStoreContract } from "./cluster-store.ts";

clusterStoreContract("embedded", async () => {
  const server = await startEmbeddedRedis();
  return redisUnderTest(server.url, () => server.close());
});
