import type { ClusterStore, NodeStore } from "./cluster/store/contract.ts";
import type { ServerConfig, VhostConfig } from "./config/server-config.ts";
import type { Logger } from "./flow/logger.ts";
import type { LiveConfig } from "./live-config.ts";
import { connectRedisStore } from "./stores/redis-store.ts";
import type { Clock } from "./time/clock.ts";

export interface NodeStores {
  /** The OriginMapStore of a virtual host; undefined when it has none. */
  storeOf(vhost: string): NodeStore | undefined;
  /** Calls for every different store once, and for those that a reload adds: where the node announces itself. */
  each(use: (store: ClusterStore) => void): void;
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
  { clock, logger, live }: { readonly clock: Clock; readonly logger: Logger; readonly live?: LiveConfig },
): Promise<NodeStores> {
  const byUrl = new Map<string, NodeStore>();
  /** Of configurations that were taken; those of one that was refused are open, and nobody is told of them. */
  const used = new Set<NodeStore>();
  const users: ((store: ClusterStore) => void)[] = [];
  let isClosed = false;
  const urlOf = ({ originMapStore: store }: VhostConfig): string | undefined =>
    store && (redisUrl || (store.redis && redisUrlOf(store.redis)));
  /** Stores that nobody names any more stay open: an older configuration may come back, and there are few. */
  const open = async ({ vhosts }: ServerConfig): Promise<void> => {
    for (const url of new Set(vhosts.map(urlOf))) {
      if (url === undefined || byUrl.has(url)) continue;
      byUrl.set(url, await connectRedisStore({ url, deadlineMs, clock, logger }));
    }
  };
  const take = ({ vhosts }: ServerConfig): void => {
    // The other parts may have taken as long to get ready as the node to close.
    if (isClosed) return;
    for (const url of vhosts.map(urlOf)) {
      const store = url === undefined ? undefined : byUrl.get(url);
      if (!store || used.has(store)) continue;
      used.add(store);
      for (const use of users) use(store);
    }
  };
  await open(config);
  take(config);
  const prepare = async (next: ServerConfig) => (await open(next), () => take(next));
  const stopFollowing = live?.addPart({ prepare });
  return {
    storeOf(name) {
      const vhost = (live?.now ?? config).vhosts.find((candidate) => candidate.name === name);
      const url = vhost && urlOf(vhost);
      return url === undefined ? undefined : byUrl.get(url);
    },
    each(use) {
      users.push(use);
      for (const store of used) use(store);
    },
    async close() {
      isClosed = true;
      stopFollowing?.();
      await Promise.all(Array.from(byUrl.values(), (store) => store.close()));
    },
  };
}

function redisUrlOf({ host, port, auth }: { host: string; port: number; auth?: string }): string {
  return `redis://${auth ? `:${encodeURIComponent(auth)}@` : ""}${host}:${port}`;
}
