import type { ClusterStore } from "./cluster/store/contract.ts";
import type { ServerConfig } from "./config/server-config.ts";
import type { Logger } from "./flow/logger.ts";
import { connectRedisStore } from "./stores/redis-store.ts";
import type { Clock } from "./time/clock.ts";

export interface NodeStores {
  /** The OriginMapStore of a virtual host; undefined when it has none. */
  storeOf(vhost: string): ClusterStore | undefined;
  /** Where the node announces itself: every different store once. */
  readonly all: readonly ClusterStore[];
  close(): Promise<void>;
}

/** How long a command to Redis may take before what was known is used instead. */
const deadlineMs = 500;

/**
 * Opens the stores that the virtual hosts name; `REDIS_URL` in the environment stands above them all. Returns without
 * waiting for a connection: a node starts while its Redis is down.
 */
export async function openStores(
  config: ServerConfig,
  redisUrl: string | undefined,
  tools: { readonly clock: Clock; readonly logger: Logger },
): Promise<NodeStores> {
  const byUrl = new Map<string, ClusterStore>();
  const byVhost = new Map<string, ClusterStore>();
  for (const { name, originMapStore } of config.vhosts) {
    const { redis } = originMapStore ?? {};
    const url = redisUrl || (redis && redisUrlOf(redis));
    if (!originMapStore || !url) continue;
    const store = byUrl.get(url) ?? (await connectRedisStore({ url, deadlineMs, ...tools }));
    byUrl.set(url, store);
    byVhost.set(name, store);
  }
  const all = [...byUrl.values()];
  return {
    storeOf: (vhost) => byVhost.get(vhost),
    all,
    close: async () => void (await Promise.all(all.map((store) => store.close()))),
  };
}

function redisUrlOf({ host, port, auth }: { host: string; port: number; auth?: string }): string {
  return `redis://${auth ? `:${encodeURIComponent(auth)}@` : ""}${host}:${port}`;
}
