import { carriersOf } from "#cluster/node-choice/carriers.ts";
import { recordKey, type ClusterView, type ClusterViewReader } from "#cluster/node-choice/cluster-view.ts";
import {
  StoreUnavailable,
  type ClusterReader,
  type ClusterSnapshot,
  type ClusterStreamName,
} from "#cluster/store/contract.ts";
import type { ClusterCache } from "./edge-cache.ts";
import { KnownStreams, type KnownStream } from "./known-streams.ts";

/** The cluster as a decision sees it, and how far that can be relied on. */
export interface Sight {
  readonly view: ClusterView;
  /** What the store says of the stream; `undefined` when it has not been heard about it. */
  readonly known: KnownStream | undefined;
  readonly ageMs: number;
  readonly from: "store" | "memory";
}

/** When a request is, and who finishes what may end after it. */
export interface Moment {
  /** Unix ms. */
  readonly nowMs: number;
  /** Takes work whose end nobody waits for; absent where the request has no round trip left for it. */
  readonly later?: ((work: Promise<unknown>) => void) | undefined;
}

/** A decision within a second of the last read needs no other. Reports come every 2 s. */
const freshMs = 1_000;
/** How long decisions go on without a store. */
const outageMs = 300_000;
/** After a silence the store is left alone: not every viewer waits for its deadline. */
const silenceMs = 1_000;
/** While somebody reads anew, the others decide on what was true until now. */
const staleMs = 2_000;
/** How often an isolate reads or writes the data centre's cache, in turn. */
const cacheTurnMs = 5_000;
/** No viewer can ask for it: `/-/` is the router's own. */
const noStream: ClusterStreamName = { vhost: "-", app: "-", stream: "-" };

interface Latest {
  readonly snapshot: Pick<ClusterSnapshot, "nowMs" | "nodes">;
  readonly view: ClusterView;
  readonly atMs: number;
}

/**
 * One isolate's memory of the store. Never asks twice within a second for the same thing; answers through an outage. A
 * request takes one round trip to the store at most, and one to the data centre's cache.
 */
export class ClusterMemory {
  readonly #reader: ClusterReader;
  readonly #views: ClusterViewReader;
  readonly #cache: ClusterCache | undefined;
  readonly #streams = new KnownStreams();
  #latest: Latest | undefined;
  #silentSinceMs = Number.NEGATIVE_INFINITY;
  #readingSinceMs = Number.NEGATIVE_INFINITY;
  #nextTurnMs = Number.NEGATIVE_INFINITY;
  #isTurnToSave = false;
  #inheritedMs = Number.NEGATIVE_INFINITY;

  constructor(reader: ClusterReader, views: ClusterViewReader, cache?: ClusterCache) {
    this.#reader = reader;
    this.#views = views;
    this.#cache = cache;
  }

  /**
   * The cluster for a decision about `name`.
   * @param isKnown whether the stream needs no lookup because a local rule can pull it
   * @returns `undefined` when the store is silent and nothing is remembered
   */
  async see(name: ClusterStreamName, isKnown: boolean, moment: Moment): Promise<Sight | undefined> {
    const { nowMs } = moment;
    const key = recordKey(name);
    const remembered = this.#recall(key, nowMs);
    const allowedMs = nowMs - this.#readingSinceMs < freshMs ? staleMs : freshMs;
    const isFresh = remembered !== undefined && remembered.ageMs < allowedMs;
    if (isFresh && (isKnown || this.#isSettled(remembered, key, nowMs))) {
      this.#takeTurn(moment);
      return remembered;
    }
    if (nowMs - this.#silentSinceMs < silenceMs) return this.#withoutStore(key, isKnown, nowMs);
    try {
      const sight = isFresh ? await this.#lookUp(name, key, remembered, nowMs) : await this.#read(name, key, nowMs);
      this.#takeTurn(moment);
      return sight;
    } catch (thrown) {
      if (!(thrown instanceof StoreUnavailable)) throw thrown;
      this.#silentSinceMs = nowMs;
      return await this.#withoutStore(key, isKnown, nowMs);
    }
  }

  /** The nodes alone, for a map of them. */
  seeNodes(moment: Moment): Promise<Sight | undefined> {
    return this.see(noStream, true, moment);
  }

  /** Nodes that were seen a moment ago need not be told again for a stream that was not. */
  async #lookUp(name: ClusterStreamName, key: string, { view, ageMs }: Sight, nowMs: number): Promise<Sight> {
    const urls = await this.#reader.lookup(name);
    return { view, known: this.#streams.learn(key, urls, nowMs), ageMs, from: "store" };
  }

  async #read(name: ClusterStreamName, key: string, nowMs: number): Promise<Sight> {
    this.#readingSinceMs = nowMs;
    try {
      const snapshot = await this.#reader.snapshot(name);
      const view = await this.#views.read(snapshot);
      this.#take({ snapshot, view, atMs: nowMs });
      return { view, known: this.#streams.learn(key, snapshot.origins, nowMs), ageMs: 0, from: "store" };
    } finally {
      this.#readingSinceMs = Number.NEGATIVE_INFINITY;
    }
  }

  /** What this isolate remembers; where that is not enough, what others left in the cache. */
  async #withoutStore(key: string, isKnown: boolean, nowMs: number): Promise<Sight | undefined> {
    const remembered = this.#recall(key, nowMs);
    if (remembered && (isKnown || remembered.known?.isThere || isCarried(remembered.view, key))) return remembered;
    if (nowMs - this.#inheritedMs >= silenceMs) await this.#inherit(nowMs);
    return this.#recall(key, nowMs);
  }

  /**
   * Reads and writes the cache in turn, so that isolates do not wipe out each other's streams, and so that a request that
   * asked the store makes one more round trip at most. A fresh isolate reads first and writes with its next request.
   */
  #takeTurn({ nowMs, later }: Moment): void {
    if (!this.#cache || !later || nowMs < this.#nextTurnMs) return;
    this.#nextTurnMs = nowMs + cacheTurnMs;
    if (!this.#isTurnToSave) {
      this.#isTurnToSave = true;
      later(this.#inherit(nowMs));
    } else if (this.#latest && this.#latest.snapshot.nodes.length > 0) {
      this.#isTurnToSave = false;
      const { snapshot, atMs } = this.#latest;
      const streams = this.#streams.share(nowMs, outageMs);
      later(this.#cache.save({ savedMs: atMs, nowMs: snapshot.nowMs, nodes: snapshot.nodes, streams }));
    }
  }

  async #inherit(nowMs: number): Promise<void> {
    const kept = await this.#cache?.load();
    if (this.#inheritedMs === Number.NEGATIVE_INFINITY) this.#nextTurnMs = nowMs;
    this.#inheritedMs = nowMs;
    if (!kept || nowMs - kept.savedMs > outageMs) return;
    this.#streams.inherit(kept.streams);
    if (this.#latest && this.#latest.atMs >= kept.savedMs) return;
    const view = await this.#views.read({ nowMs: kept.nowMs, nodes: kept.nodes, origins: [] });
    this.#take({ snapshot: kept, view, atMs: kept.savedMs });
  }

  /** What was asked for earlier may arrive later. */
  #take(latest: Latest): void {
    if (!this.#latest || this.#latest.atMs <= latest.atMs) this.#latest = latest;
  }

  #recall(key: string, nowMs: number): Sight | undefined {
    if (!this.#latest || nowMs - this.#latest.atMs > outageMs) return undefined;
    // That a stream was not there is worth a second; that it was there, an outage.
    const known = this.#streams.recall(key, nowMs, freshMs, outageMs);
    return { view: this.#latest.view, known, ageMs: nowMs - this.#latest.atMs, from: "memory" };
  }

  /** Whether it is known of the stream, freshly, that it exists or that it does not. */
  #isSettled({ view }: Sight, key: string, nowMs: number): boolean {
    return this.#streams.isFresh(key, nowMs, freshMs) || isCarried(view, key);
  }
}

/** Whether a node that reports has the stream. */
export function isCarried(view: ClusterView, key: string): boolean {
  for (const { isSilent } of carriersOf(view.nodes, key)) if (!isSilent) return true;
  return false;
}
