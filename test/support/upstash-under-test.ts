import { Redis } from "@upstash/redis";
import { type NodeStore, StoreUnavailable } from "../../media-node/cluster/store/contract.ts";
import { scriptStore } from "../../media-node/cluster/store/script-store.ts";
import { messageOf } from "../../media-node/flow/errors.ts";
import { startBridge } from "../../media-node/stores/bridge.ts";
import type { StoreUnderTest } from "../contract/cluster-store.ts";
import { rawRedis } from "./redis-under-test.ts";

/** The real `@upstash/redis`, set up as the router has it. */
export function upstashClient(url: string, token: string): Redis {
  return new Redis({
    url,
    token,
    automaticDeserialization: false,
    enableTelemetry: false,
    retry: { retries: 0 },
    signal: () => AbortSignal.timeout(5_000),
  });
}

/** The store's scripts through that client. */
export function upstashStore(client: Redis): NodeStore {
  return scriptStore({
    async run({ script, keys, args }) {
      try {
        return await client.eval(script, [...keys], [...args]);
      } catch (thrown) {
        throw new StoreUnavailable(messageOf(thrown), { cause: thrown });
      }
    },
    close() {},
  });
}

/** The client, the bridge, and the server at `redisUrl` in a row. */
export async function upstashUnderTest(redisUrl: string, closeServer: () => Promise<void>): Promise<StoreUnderTest> {
  const { raw, close } = await rawRedis(redisUrl);
  const bridge = await startBridge({ port: 0, redisUrl, token: "secret", deadlineMs: 5_000 });
  return {
    raw,
    connect: async () => upstashStore(upstashClient(bridge.url, "secret")),
    async close() {
      await bridge.close();
      await close();
      await closeServer();
    },
  };
}
