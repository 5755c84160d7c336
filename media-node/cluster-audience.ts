import type { AudienceStore, NodeRecord } from "./cluster/store/contract.ts";
import { audienceMs, storeLimits } from "./cluster/store/keys.ts";
import type { StreamHub } from "./core/stream-hub.ts";
import { streamKey, type StreamName } from "./core/stream-name.ts";
import { every, type Clock } from "./time/clock.ts";
import { isViewerProtocol } from "./viewer-protocols.ts";

export interface ClusterAudienceOptions {
  readonly nodeId: string;
  readonly hub: Pick<StreamHub, "list" | "holders">;
  /** The store of a virtual host; undefined when it has none. */
  readonly storeOf: (vhost: string) => AudienceStore | undefined;
  readonly clock: Clock;
}

/** Every span of the store's count has one answer of this node at least, though one may be late. */
const tellEveryMs = audienceMs / 2;
/** Streams told of at most; those that are not are counted by node alone. */
const maxStreams = 1_000;

/**
 * How many people watch a stream in the whole cluster, each counted once. The sum over nodes is more than that where one
 * viewer's requests go to several edges: by a balancer, a cache, or a move. A viewer's token is the same at all of them.
 */
export class ClusterAudience {
  readonly #options: ClusterAudienceOptions;
  readonly #counts = new Map<string, number>();
  readonly #timer;
  #isTelling = false;

  constructor(options: ClusterAudienceOptions) {
    this.#options = options;
    this.#timer = every(options.clock, tellEveryMs, () => void this.#tell());
  }

  /** Viewers of a stream anywhere, some ten seconds ago; undefined where the store has not told. */
  of(name: StreamName): number | undefined {
    return this.#counts.get(streamKey(name));
  }

  /** As a node record has them. */
  get counts(): NonNullable<NodeRecord["audiences"]> {
    return Object.fromEntries(this.#counts);
  }

  close(): void {
    this.#timer.cancel();
    this.#counts.clear();
  }

  async #tell(): Promise<void> {
    // A store that is slower than this is told again when it has answered.
    if (this.#isTelling) return;
    this.#isTelling = true;
    const watched = this.#options.hub.list().filter(({ viewers }) => isWatched(viewers));
    const names = watched.slice(0, maxStreams).map(({ stream }) => stream.name);
    const known = new Set(names.map(streamKey));
    for (const key of this.#counts.keys()) if (!known.has(key)) this.#counts.delete(key);
    await Promise.all(names.map((name) => this.#count(name)));
    this.#isTelling = false;
  }

  async #count(name: StreamName): Promise<void> {
    const { nodeId, hub, storeOf } = this.#options;
    const store = storeOf(name.vhost);
    const ids = hub
      .holders(name)
      .filter(({ protocol }) => isViewerProtocol(protocol))
      // A connection is one node's own; a token goes everywhere.
      .map(({ protocol, holder: { id } }) => (protocol === "llhls" || protocol === "hls" ? id : `${nodeId}/${id}`));
    try {
      let count: number | undefined;
      for (let at = 0; at < ids.length; at += storeLimits.audienceIds)
        count = await store?.countAudience(name, ids.slice(at, at + storeLimits.audienceIds));
      if (count === undefined) this.#counts.delete(streamKey(name));
      else this.#counts.set(streamKey(name), count);
    } catch {
      // A store that is away is counted elsewhere. An old count would be a lie.
      this.#counts.delete(streamKey(name));
    }
  }
}

const isWatched = (viewers: Readonly<Record<string, number>>): boolean =>
  Object.entries(viewers).some(([protocol, count]) => count > 0 && isViewerProtocol(protocol));
