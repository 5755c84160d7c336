/** What isolates of one data centre tell each other through its cache: a fresh one knows it when the store is silent. */
export interface KeptCluster {
  /** Unix ms by the router's clock at which `nodes` were read. */
  readonly savedMs: number;
  /** The store's clock then. */
  readonly nowMs: number;
  /** Signed node records, unverified. */
  readonly nodes: readonly string[];
  /** `vhost/app/stream` of streams that the store knew, and Unix ms by the router's clock at which it last said so. */
  readonly streams: readonly (readonly [key: string, seenMs: number])[];
}

/** One entry for all: an isolate reads it, adds what it knows, and writes it again. */
export interface ClusterCache {
  /** Never throws. */
  save(kept: KeptCluster): Promise<void>;
  /** `undefined` when there is nothing, or nothing readable. Never throws. */
  load(): Promise<KeptCluster | undefined>;
}

/** As much of the Cache API as is needed. */
export interface ResponseCache {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
}

/** No request from outside has this address. */
const url = "https://hearth.invalid/last/cluster";
/** As long as decisions go on without a store. */
const keepHeaders = { "Cache-Control": "max-age=300", "Content-Type": "application/json" };

/** Keeps the cluster in the data centre's cache. What comes back is as untrusted as what the store says. */
export function edgeCache(cache: ResponseCache): ClusterCache {
  return {
    async save(kept) {
      try {
        await cache.put(url, new Response(JSON.stringify(kept), { headers: keepHeaders }));
      } catch {
        // The store is still there to be asked; only an outage would have needed this.
      }
    },
    async load() {
      try {
        return parseKept(await (await cache.match(url))?.json());
      } catch {
        return undefined;
      }
    },
  };
}

function parseKept(value: unknown): KeptCluster | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { savedMs, nowMs, nodes, streams } = value as Record<string, unknown>;
  if (typeof savedMs !== "number" || typeof nowMs !== "number" || !isList(nodes, isText)) return undefined;
  return { savedMs, nowMs, nodes, streams: isList(streams, isSeenStream) ? streams : [] };
}

const isText = (value: unknown): value is string => typeof value === "string";
const isSeenStream = (value: unknown): value is [string, number] =>
  Array.isArray(value) && isText(value[0]) && typeof value[1] === "number";

function isList<T>(value: unknown, isItem: (item: unknown) => item is T): value is T[] {
  return Array.isArray(value) && value.every(isItem);
}
