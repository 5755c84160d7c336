import { Redis } from "@upstash/redis/cloudflare";
import {
  StoreUnavailable,
  type ClusterReader,
  type ClusterSnapshot,
  type ClusterStreamName,
} from "#cluster/store/contract.ts";
import { parseSnapshot, parseUrls } from "#cluster/store/script-replies.ts";
import { lookupCall, snapshotCall, type ScriptCall } from "#cluster/store/script-calls.ts";

/** Longer than this a viewer does not wait for the store; the last snapshot decides instead. */
const storeDeadlineMs = 300;

/** Reads the cluster through Upstash's REST protocol, or `hearth bridge`, which speaks the same. One request a reading. */
export class UpstashReader implements ClusterReader {
  readonly #redis: Redis;
  /** What a token that may only read may run, too. Servers before Redis 7 do not know it; the bridge does. */
  #knowsEvalRo = true;

  constructor(url: string, token: string, deadlineMs = storeDeadlineMs) {
    this.#redis = new Redis({
      url,
      token,
      // As a function: with a plain signal the client answers an abort with a made-up reply.
      signal: () => AbortSignal.timeout(deadlineMs),
      retry: { retries: 0 },
      enableTelemetry: false,
      enableAutoPipelining: false,
      readYourWrites: false,
      automaticDeserialization: false,
      // Records are JSON; base64 would cost a third more to send and all of it to decode.
      responseEncoding: false,
    });
  }

  snapshot(name: ClusterStreamName): Promise<ClusterSnapshot> {
    return this.#read(snapshotCall(name), parseSnapshot);
  }

  lookup(name: ClusterStreamName): Promise<readonly string[]> {
    return this.#read(lookupCall(name), parseUrls);
  }

  async #read<T>({ script, keys, args }: ScriptCall, parse: (reply: unknown) => T): Promise<T> {
    try {
      return parse(await this.#run(script, [...keys], [...args]));
    } catch (thrown) {
      if (thrown instanceof StoreUnavailable) throw thrown;
      throw new StoreUnavailable("the store did not answer", { cause: thrown });
    }
  }

  async #run(script: string, keys: string[], args: string[]): Promise<unknown> {
    if (!this.#knowsEvalRo) return this.#redis.eval(script, keys, args);
    try {
      return await this.#redis.evalRo(script, keys, args);
    } catch (thrown) {
      if (!(thrown instanceof Error && /unknown command|not available/i.test(thrown.message))) throw thrown;
      this.#knowsEvalRo = false;
      return this.#redis.eval(script, keys, args);
    }
  }
}

const notSet = () =>
  Promise.reject(new StoreUnavailable("UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN are not set"));

/** Where no store is configured. */
export const noStore: ClusterReader = { snapshot: notSet, lookup: notSet };
