import type { ClusterSnapshot, ClusterStreamName } from "#cluster/store/contract.ts";

/** What was last read from the store, kept outside the isolate: a fresh isolate has it, too, when the store is silent. */
export interface SnapshotCache {
  /** Keeps it; never throws. Nodes and the stream's origins are kept apart, so that a stream costs little. */
  save(name: ClusterStreamName, snapshot: ClusterSnapshot, nowMs: number): Promise<void>;
  /** The last nodes, and the stream's origins if they were kept; `undefined` when there is nothing. Never throws. */
  load(name: ClusterStreamName): Promise<CachedSnapshot | undefined>;
}

export interface CachedSnapshot extends ClusterSnapshot {
  /** Unix ms by the router's clock when it was saved. */
  readonly savedMs: number;
}

/** As much of the Cache API as is needed. */
export interface ResponseCache {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
}

/** No request from outside has these addresses. */
const nodesUrl = "https://hearth.invalid/last/nodes";
const originsUrl = ({ vhost, app, stream }: ClusterStreamName): string =>
  `https://hearth.invalid/last/origins/${[vhost, app, stream].map(encodeURIComponent).join("/")}`;
/** As long as decisions go on without a store. */
const keepHeaders = { "Cache-Control": "max-age=300", "Content-Type": "application/json" };

/** Keeps snapshots in the data centre's cache. What comes back is as untrusted as what the store says. */
export function edgeCache(cache: ResponseCache): SnapshotCache {
  const put = async (url: string, value: unknown): Promise<void> =>
    cache.put(url, new Response(JSON.stringify(value), { headers: keepHeaders }));
  const get = async (url: string): Promise<unknown> => (await cache.match(url))?.json();
  return {
    async save(name, { nowMs: storeMs, nodes, origins }, nowMs) {
      const saves = [put(nodesUrl, { savedMs: nowMs, nowMs: storeMs, nodes })];
      if (origins.length > 0) saves.push(put(originsUrl(name), origins));
      await Promise.allSettled(saves);
    },
    async load(name) {
      const [nodes, origins] = await Promise.allSettled([get(nodesUrl), get(originsUrl(name))]);
      return parseCached(
        nodes.status === "fulfilled" ? nodes.value : undefined,
        origins.status === "fulfilled" ? origins.value : undefined,
      );
    },
  };
}

function parseCached(value: unknown, origins: unknown): CachedSnapshot | undefined {
  if (typeof value !== "object" || value === null || !("savedMs" in value && "nowMs" in value && "nodes" in value))
    return undefined;
  const { savedMs, nowMs, nodes } = value;
  if (typeof savedMs !== "number" || typeof nowMs !== "number" || !isTexts(nodes)) return undefined;
  return { savedMs, nowMs, nodes, origins: isTexts(origins) ? origins : [] };
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((entry) => typeof entry === "string");
