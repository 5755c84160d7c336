import { Redis } from "@upstash/redis/cloudflare";
import {
  StoreUnavailable,
  type ClusterReader,
  type ClusterSnapshot,
  type ClusterStreamName,
} from "#cluster/store/contract.ts";
import { parseSnapshot } from "#cluster/store/script-replies.ts";
import { snapshotCall } from "#cluster/store/script-calls.ts";

/** Longer than this a viewer does not wait for the store; the last snapshot decides instead. */
const storeDeadlineMs = 300;

/** Reads the cluster through Upstash's REST protocol, or `hearth bridge`, which speaks the same. One request a snapshot. */
export class UpstashReader implements ClusterReader {
  readonly #redis: Redis;
  /** A token that may only read may only run scripts that only read, by another command (Redis 7). */
  #isReadOnly = false;

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

  async snapshot(name: ClusterStreamName): Promise<ClusterSnapshot> {
    const { script, keys, args } = snapshotCall(name);
    try {
      return parseSnapshot(await this.#run(script, [...keys], [...args]));
    } catch (thrown) {
      if (thrown instanceof StoreUnavailable) throw thrown;
      throw new StoreUnavailable("the store did not answer", { cause: thrown });
    }
  }

  async #run(script: string, keys: string[], args: string[]): Promise<unknown> {
    if (this.#isReadOnly) return this.#redis.evalRo(script, keys, args);
    try {
      return await this.#redis.eval(script, keys, args);
    } catch (thrown) {
      if (!(thrown instanceof Error && /NOPERM|no permission/i.test(thrown.message))) throw thrown;
      this.#isReadOnly = true;
      return this.#redis.evalRo(script, keys, args);
    }
  }
}

/** Where no store is configured. */
export const noStore: ClusterReader = {
  snapshot: () =>
    Promise.reject(new StoreUnavailable("UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN are not set")),
};
