import { createHash } from "node:crypto";
import { StoreUnavailable, type ClusterStore } from "../cluster/store/contract.ts";
import type { ScriptCall } from "../cluster/store/script-calls.ts";
import { scriptStore } from "../cluster/store/script-store.ts";
import { messageOf } from "../flow/errors.ts";
import { isErrorReply, RedisLink, type RedisLinkOptions } from "./redis-link.ts";

/**
 * The store on a Redis (≥ 5.0.7). Returns without having connected: a node starts while its Redis is down.
 * @throws {SettingError} on a URL that is none
 */
export async function connectRedisStore(options: RedisLinkOptions): Promise<ClusterStore> {
  const link = new RedisLink(options);
  return scriptStore({ run: (call) => runScript(link, call), close: () => link.close() });
}

async function runScript(link: RedisLink, { script, keys, args }: ScriptCall): Promise<unknown> {
  const scope = { keys: [...keys], arguments: [...args] };
  try {
    return await link.run(async (client): Promise<unknown> => {
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

const shas = new Map<string, string>();

/** What EVALSHA calls a script: SHA-1 of its text, in hex. There are six of them. */
function shaOf(script: string): string {
  const known = shas.get(script);
  if (known !== undefined) return known;
  const sha = createHash("sha1").update(script).digest("hex");
  shas.set(script, sha);
  return sha;
}
