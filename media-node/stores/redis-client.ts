import { createRequire } from "node:module";
import type { createClient, createCluster } from "redis";
import { StoreUnavailable } from "../cluster/store/contract.ts";
import { messageOf } from "../flow/errors.ts";
import type { RedisHost, RedisTarget } from "./redis-url.ts";

interface Redis {
  readonly createClient: typeof createClient;
  readonly createCluster: typeof createCluster;
}

/**
 * node-redis is loaded with the first connection, once a node's doors are open; and of it the client alone: the commands of
 * Redis' modules, which `redis` adds to it, are a quarter of its 650 files.
 */
const loadRedis = (): Redis => {
  const redis = createRequire(import.meta.url).resolve("redis");
  return createRequire(redis)("@redis/client") as Redis;
};

/** A node-redis client of one server, that answers in RESP2 shapes. */
export type RedisClient = ReturnType<typeof newClient>;
/** The same for a Redis Cluster. */
export type RedisClusterClient = ReturnType<typeof newClusterClient>;

export interface RedisAccess {
  readonly target: RedisTarget;
  /** Wins over the URL's. */
  readonly username: string | undefined;
  /** Wins over the URL's. */
  readonly password: string | undefined;
  /** Of the sentinels themselves. */
  readonly sentinelPassword: string | undefined;
  /** Certificates (PEM) to trust for TLS instead of the system's. */
  readonly ca: string | undefined;
  readonly connectTimeoutMs: number;
}

/** Makes a client, not connected, of the server that `access` names now: asks the sentinels every time. */
export function clientOpener(access: RedisAccess): () => Promise<RedisClient> {
  let first = 0;
  return async () => {
    const redis = loadRedis();
    const { kind, hosts } = access.target;
    if (kind !== "sentinel") return newClient(redis, hosts[0]!, access);
    // Another one first each time: the first may be the one that hangs.
    const from = first++ % hosts.length;
    const master = await findMaster(redis, [...hosts.slice(from), ...hosts.slice(0, from)], access);
    return newClient(redis, master, access);
  };
}

/** Makes a client, not connected, of a Redis Cluster. */
export function clusterOpener(access: RedisAccess): () => Promise<RedisClusterClient> {
  return async () => newClusterClient(loadRedis(), access);
}

async function findMaster(redis: Redis, sentinels: readonly RedisHost[], access: RedisAccess): Promise<RedisHost> {
  let failure: unknown;
  for (const sentinel of sentinels) {
    const { sentinelPassword: password, target } = access;
    const client = newClient(redis, sentinel, {
      ...access,
      target: { ...target, database: 0 },
      username: undefined,
      password,
    });
    client.on("error", () => {});
    const deadline = setTimeout(() => client.destroy(), access.connectTimeoutMs / sentinels.length);
    try {
      await client.connect();
      const answer = await client.sendCommand(["SENTINEL", "get-master-addr-by-name", access.target.master]);
      const [host, port] = Array.isArray(answer) ? (answer as unknown[]) : [];
      if (typeof host === "string" && /^\d{1,5}$/.test(String(port))) return { host, port: Number(port) };
      failure = new Error(`no sentinel knows "${access.target.master}"`);
    } catch (thrown) {
      failure = thrown;
    } finally {
      clearTimeout(deadline);
      client.destroy();
    }
  }
  throw new StoreUnavailable(`no sentinel told the master: ${messageOf(failure)}`, { cause: failure });
}

/** Nothing waits for a connection inside the client, and the link's deadline is the only one. */
const manners = { disableOfflineQueue: true, disableClientInfo: true, commandOptions: { timeout: 0 } } as const;

function newClient(redis: Redis, { host, port }: RedisHost, access: RedisAccess) {
  return redis.createClient({
    RESP: 2,
    socket: { host, port, ...socketOf(access), reconnectStrategy: false },
    ...credentialsOf(access),
    database: access.target.database,
    ...manners,
  });
}

function newClusterClient(redis: Redis, access: RedisAccess) {
  // A cluster's client looks for nodes anew by itself; the cap is the link's.
  const socket = { ...socketOf(access), reconnectStrategy: (tries: number) => Math.min(2_000, 250 * 2 ** tries) };
  return redis.createCluster({
    RESP: 2,
    rootNodes: access.target.hosts.map(({ host, port }) => ({ socket: { host, port, ...socket } })),
    // Behind a node that hangs, commands wait until it is found dead.
    defaults: { socket, ...credentialsOf(access), ...manners, commandsQueueMaxLength: 10_000 },
  });
}

function socketOf({ target, ca, connectTimeoutMs }: RedisAccess) {
  return {
    connectTimeout: connectTimeoutMs,
    ...(target.isTls && { tls: true as const, ...(ca !== undefined && { ca }) }),
  };
}

function credentialsOf({ username, password }: RedisAccess) {
  return { ...(username !== undefined && { username }), ...(password !== undefined && { password }) };
}
