import { createHash } from "node:crypto";
import { type NodeStore, StoreUnavailable } from "../cluster/store/contract.ts";
import { nodesCall, type ScriptCall } from "../cluster/store/script-calls.ts";
import { scriptStore } from "../cluster/store/script-store.ts";
import { lookupScript, snapshotScript } from "../cluster/store/scripts.ts";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock } from "../time/clock.ts";
import { clientOpener, clusterOpener, type RedisAccess } from "./redis-client.ts";
import { isErrorReply, RedisLink, type LinkClient } from "./redis-link.ts";
import { parseRedisUrl } from "./redis-url.ts";

export interface RedisStoreOptions {
  /** See `parseRedisUrl`: one server, sentinels that know it, or a Redis Cluster. */
  readonly url: string;
  /** Wins over the URL's. */
  readonly username?: string | undefined;
  /** Wins over the URL's. */
  readonly password?: string | undefined;
  /** Of the sentinels themselves, if they want one. */
  readonly sentinelPassword?: string | undefined;
  /** Certificates (PEM) to trust for TLS instead of the system's. */
  readonly ca?: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Most that one command takes, connecting included. */
  readonly deadlineMs: number;
  readonly random?: (() => number) | undefined;
}

/**
 * The store on a Redis (≥ 5.0.7). Returns without having connected: a node starts while its Redis is down.
 * @throws {SettingError} on a URL that is none
 */
export async function connectRedisStore(options: RedisStoreOptions): Promise<NodeStore> {
  const access = accessOf(options);
  if (access.target.kind === "cluster") {
    const link = new RedisLink<ScriptClient>({ ...options, open: clusterOpener(access), isSelfHealing: true });
    return scriptStore({ run: (call) => runAcrossSlots(link, call), close: () => link.close() });
  }
  const link = new RedisLink<ScriptClient>({ ...options, open: clientOpener(access) });
  return scriptStore({ run: (call) => runScript(link, call), close: () => link.close() });
}

/** How to reach what `options.url` names. @throws {SettingError} on a URL that is none */
export function accessOf(
  options: Pick<RedisStoreOptions, "url" | "username" | "password" | "sentinelPassword" | "ca" | "deadlineMs">,
): RedisAccess {
  const target = parseRedisUrl(options.url);
  return {
    target,
    username: options.username ?? target.username,
    password: options.password ?? target.password,
    sentinelPassword: options.sentinelPassword,
    ca: options.ca,
    connectTimeoutMs: options.deadlineMs,
  };
}

interface ScriptScope {
  keys: string[];
  arguments: string[];
}

interface ScriptClient extends LinkClient {
  evalSha(sha: string, scope: ScriptScope): Promise<unknown>;
  eval(script: string, scope: ScriptScope): Promise<unknown>;
}

async function runScript(link: RedisLink<ScriptClient>, { script, keys, args }: ScriptCall): Promise<unknown> {
  const scope = { keys: [...keys], arguments: [...args] };
  try {
    return await link.run(async (client) => {
      try {
        return await client.evalSha(shaOf(script), scope);
      } catch (thrown) {
        if (!messageOf(thrown).startsWith("NOSCRIPT")) throw thrown;
        return await client.eval(script, scope);
      }
    });
  } catch (thrown) {
    throw isErrorReply(thrown) ? new StoreUnavailable(thrown.message, { cause: thrown }) : thrown;
  }
}

/** In a Redis Cluster nodes and stream lie on different machines: a snapshot takes two scripts there, at once. */
async function runAcrossSlots(link: RedisLink<ScriptClient>, call: ScriptCall): Promise<unknown> {
  if (call.script !== snapshotScript) return runScript(link, call);
  const [nodes, urls] = await Promise.all([
    runScript(link, nodesCall()),
    runScript(link, { ...call, script: lookupScript, keys: call.keys.slice(2) }),
  ]);
  return Array.isArray(nodes) ? [...(nodes as unknown[]).slice(0, 2), urls] : nodes;
}

const shas = new Map<string, string>();

/** What EVALSHA calls a script: SHA-1 of its text, in hex. There are nine of them. */
function shaOf(script: string): string {
  const known = shas.get(script);
  if (known !== undefined) return known;
  const sha = createHash("sha1").update(script).digest("hex");
  shas.set(script, sha);
  return sha;
}
