import { carries, recordKey, type ClusterView, type ClusterViewReader } from "#cluster/node-choice/cluster-view.ts";
import { StoreUnavailable, type ClusterReader, type ClusterStreamName } from "#cluster/store/contract.ts";
import type { SnapshotCache } from "./edge-cache.ts";

/** The cluster as a decision sees it, and how far that can be relied on. */
export interface Sight {
  readonly view: ClusterView;
  /** Where the stream can be pulled, as the store says; `undefined` when the store has not been heard about this stream. */
  readonly origins: readonly string[] | undefined;
  readonly ageMs: number;
  readonly from: "store" | "memory";
}

/** When a request is, and who finishes what may end after it. */
export interface Moment {
  /** Unix ms. */
  readonly nowMs: number;
  /** Takes work whose end nobody waits for. */
  readonly later: (work: Promise<unknown>) => void;
}

/** A decision within a second of the last read needs no other. Reports come every 2 s. */
const freshMs = 1_000;
/** How long decisions go on without a store. */
export const outageMs = 300_000;
/** After a silence the store is left alone: not every viewer waits for its deadline. */
const silenceMs = 1_000;
/** While somebody reads anew, the others decide on what was true until now. */
const staleMs = 2_000;
/** How often the last snapshot is put where other isolates find it. */
const saveEveryMs = 10_000;
/** No viewer can ask for it: `/-/` is the router's own. */
const noStream: ClusterStreamName = { vhost: "-", app: "-", stream: "-" };
/** Streams whose origins are remembered, known and unknown alike. */
const maxStreams = 10_000;

interface KnownOrigins {
  readonly urls: readonly string[];
  /** When the store was asked. */
  readonly atMs: number;
  /** When the store last gave any. */
  readonly seenMs: number;
  readonly savedMs: number;
}

/**
 * A store that lost its data says that nothing exists, until everybody has claimed anew: for that long it is not believed.
 * A stream that ended is asked for in vain at a node meanwhile, which knows it best.
 */
const reclaimMs = 10_000;

/** One isolate's memory of the store. Never asks twice within a second for the same thing; answers through an outage. */
export class ClusterMemory {
  readonly #reader: ClusterReader;
  readonly #views: ClusterViewReader;
  readonly #cache: SnapshotCache | undefined;
  #latest: { view: ClusterView; atMs: number } | undefined;
  #origins = new Map<string, KnownOrigins>();
  #silentSinceMs = Number.NEGATIVE_INFINITY;
  #readingSinceMs = Number.NEGATIVE_INFINITY;

  constructor(reader: ClusterReader, views: ClusterViewReader, cache?: SnapshotCache) {
    this.#reader = reader;
    this.#views = views;
    this.#cache = cache;
  }

  /**
   * The cluster for a decision about `name`: one round trip at most.
   * @param isKnown whether the stream needs no lookup because a local rule can pull it
   * @returns `undefined` when the store is silent and nothing is remembered
   */
  async see(name: ClusterStreamName, isKnown: boolean, moment: Moment): Promise<Sight | undefined> {
    const { nowMs } = moment;
    const remembered = this.#recall(name, nowMs);
    const allowedMs = nowMs - this.#readingSinceMs < freshMs ? staleMs : freshMs;
    if (remembered && remembered.ageMs < allowedMs && (isKnown || this.#isSettled(remembered, name, nowMs)))
      return remembered;
    if (nowMs - this.#silentSinceMs < silenceMs) return this.#withoutStore(name, isKnown, nowMs);
    this.#readingSinceMs = nowMs;
    try {
      return await this.#read(name, moment);
    } catch (thrown) {
      if (!(thrown instanceof StoreUnavailable)) throw thrown;
      this.#silentSinceMs = nowMs;
      return await this.#withoutStore(name, isKnown, nowMs);
    } finally {
      this.#readingSinceMs = Number.NEGATIVE_INFINITY;
    }
  }

  /** The nodes alone, for a map of them. */
  seeNodes(moment: Moment): Promise<Sight | undefined> {
    return this.see(noStream, true, moment);
  }

  async #read(name: ClusterStreamName, { nowMs, later }: Moment): Promise<Sight> {
    const snapshot = await this.#reader.snapshot(name);
    const key = recordKey(name);
    const known = this.#origins.get(key);
    const savedMs = known?.savedMs ?? Number.NEGATIVE_INFINITY;
    const isDue = this.#cache !== undefined && snapshot.nodes.length > 0 && nowMs - savedMs >= saveEveryMs;
    if (isDue) later(this.#cache.save(name, snapshot, nowMs));
    const view = await this.#views.read(snapshot);
    this.#latest = { view, atMs: nowMs };
    const hasAny = snapshot.origins.length > 0;
    const isLost = !hasAny && known !== undefined && nowMs - known.seenMs < reclaimMs;
    const urls = isLost ? known.urls : snapshot.origins;
    const seenMs = hasAny ? nowMs : (known?.seenMs ?? Number.NEGATIVE_INFINITY);
    this.#remember(key, { urls, atMs: nowMs, seenMs, savedMs: isDue ? nowMs : savedMs });
    return { view, origins: urls, ageMs: 0, from: "store" };
  }

  #remember(key: string, origins: KnownOrigins): void {
    this.#origins.delete(key);
    this.#origins.set(key, origins);
    if (this.#origins.size > maxStreams) this.#origins.delete(this.#origins.keys().next().value!);
  }

  /** What this isolate remembers; where that is not enough, what another one left in the cache. */
  async #withoutStore(name: ClusterStreamName, isKnown: boolean, nowMs: number): Promise<Sight | undefined> {
    const remembered = this.#recall(name, nowMs);
    const key = recordKey(name);
    if (remembered && (isKnown || remembered.origins || isCarried(remembered.view, key))) return remembered;
    const cached = await this.#cache?.load(name);
    if (!cached || nowMs - cached.savedMs > outageMs) return remembered;
    const { savedMs, origins: urls } = cached;
    if (!this.#latest || this.#latest.atMs < savedMs)
      this.#latest = { view: await this.#views.read(cached), atMs: savedMs };
    if (urls.length > 0) this.#remember(key, { urls, atMs: savedMs, seenMs: savedMs, savedMs });
    return this.#recall(name, nowMs);
  }

  #recall(name: ClusterStreamName, nowMs: number): Sight | undefined {
    if (!this.#latest || nowMs - this.#latest.atMs > outageMs) return undefined;
    const origins = this.#origins.get(recordKey(name));
    // That a stream was not there is worth a second; that it was there, an outage.
    const isRemembered = origins && nowMs - origins.atMs < (origins.urls.length > 0 ? outageMs : freshMs);
    return {
      view: this.#latest.view,
      origins: isRemembered ? origins.urls : undefined,
      ageMs: nowMs - this.#latest.atMs,
      from: "memory",
    };
  }

  /** Whether it is known of the stream, freshly, that it exists or that it does not. */
  #isSettled({ view }: Sight, name: ClusterStreamName, nowMs: number): boolean {
    const key = recordKey(name);
    const origins = this.#origins.get(key);
    return (origins && nowMs - origins.atMs < freshMs) || isCarried(view, key);
  }
}

/** Whether a node that reports has the stream. */
export function isCarried(view: ClusterView, key: string): boolean {
  return view.nodes.some(({ record, isSilent }) => !isSilent && carries(record, key));
}
