import { createClient } from "redis";
import type { NodeStore } from "../../media-node/cluster/store/contract.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { connectRedisStore } from "../../media-node/stores/redis-store.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import type { StoreUnderTest } from "../contract/cluster-store.ts";

/** A connection past the adapters, to look at keys and to plant some. */
export async function rawRedis(url: string): Promise<{
  readonly raw: (...command: readonly string[]) => Promise<unknown>;
  readonly close: () => Promise<void>;
}> {
  const client = createClient({ url, RESP: 2, disableClientInfo: true });
  client.on("error", () => {});
  await client.connect();
  return {
    raw: (...command) => client.sendCommand([...command]),
    close: async () => client.destroy(),
  };
}

/** The nodes' own adapter against the server at `url`. */
export async function redisUnderTest(url: string, closeServer: () => Promise<void>): Promise<StoreUnderTest> {
  const { raw, close } = await rawRedis(url);
  const stores: NodeStore[] = [];
  return {
    raw,
    async connect() {
      const store = await connectRedisStore({ url, clock: systemClock, logger: silentLogger, deadlineMs: 5_000 });
      stores.push(store);
      return store;
    },
    async close() {
      for (const store of stores) await store.close();
      await close();
      await closeServer();
    },
  };
}
