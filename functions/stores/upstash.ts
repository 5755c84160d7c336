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
const deadlineMs = 300;

/** Reads the cluster through Upstash's REST protocol, or `hearth bridge`, which speaks the same. One request a snapshot. */
export class UpstashReader implements ClusterReader {
  readonly #redis: Redis;

  constructor(url: string, token: string) {
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
    let reply: unknown;
    try {
      reply = await this.#redis.eval(script, [...keys], [...args]);
    } catch (thrown) {
      throw new StoreUnavailable("the store did not answer", { cause: thrown });
    }
    return parseSnapshot(reply);
  }
}

/** Where no store is configured. */
export const noStore: ClusterReader = {
  snapshot: () =>
    Promise.reject(new StoreUnavailable("UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN are not set")),
};
