/** What the store said of one stream. */
export interface KnownStream {
  /** Where it can be pulled, as last told; empty when that is not known. */
  readonly urls: readonly string[];
  /** Whether it was there when the store was last asked, by this isolate or another. */
  readonly isThere: boolean;
  /** Unix ms at which this isolate asked last. */
  readonly askedMs: number;
  /** Unix ms at which the store last said, to any isolate, that it is there. */
  readonly seenMs: number;
}

/** Streams remembered, present and absent alike; past it the one that was asked for longest ago goes. */
const maxStreams = 10_000;
/** Characters of all names that are handed to other isolates. */
const maxSharedLength = 512 * 1024;

/**
 * A store that lost its data says that nothing exists, until everybody has claimed anew: for that long it is not believed.
 * A stream that ended is asked for in vain at a node meanwhile, which knows it best.
 */
const reclaimMs = 10_000;

/** Streams by `vhost/app/stream`, as the store knew them. Times are handed in; memory is bounded. */
export class KnownStreams {
  readonly #streams = new Map<string, KnownStream>();

  /**
   * Notes what the store has just said. An answer to an earlier question that comes late changes nothing.
   * @param nowMs when it was asked
   */
  learn(key: string, urls: readonly string[], nowMs: number): KnownStream {
    const known = this.#streams.get(key);
    if (known && nowMs < known.askedMs) return known;
    const hasAny = urls.length > 0;
    const seenMs = hasAny ? nowMs : (known?.seenMs ?? Number.NEGATIVE_INFINITY);
    const isLost = !hasAny && known !== undefined && nowMs - known.seenMs < reclaimMs;
    const learned = { urls: isLost ? known.urls : urls, isThere: hasAny || isLost, askedMs: nowMs, seenMs };
    this.#put(key, learned);
    return learned;
  }

  /** What is still worth something: that a stream was not there for `absentMs`, that it was for `presentMs`. */
  recall(key: string, nowMs: number, absentMs: number, presentMs: number): KnownStream | undefined {
    const known = this.#streams.get(key);
    if (!known) return undefined;
    return (known.isThere ? nowMs - known.seenMs < presentMs : nowMs - known.askedMs < absentMs) ? known : undefined;
  }

  /** Whether the store was asked within `freshMs`. */
  isFresh(key: string, nowMs: number, freshMs: number): boolean {
    return nowMs - (this.#streams.get(key)?.askedMs ?? Number.NEGATIVE_INFINITY) < freshMs;
  }

  /** What other isolates heard of the store; what this one heard later stands. */
  inherit(streams: readonly (readonly [key: string, seenMs: number])[]): void {
    for (const [key, seenMs] of streams.slice(0, maxStreams)) {
      const known = this.#streams.get(key);
      if (known && (seenMs <= known.seenMs || (!known.isThere && seenMs <= known.askedMs))) continue;
      const { urls = [], askedMs = Number.NEGATIVE_INFINITY } = known ?? {};
      this.#put(key, { urls, isThere: true, askedMs, seenMs });
    }
  }

  /** What other isolates may inherit: the streams that were there within `presentMs`. */
  share(nowMs: number, presentMs: number): [key: string, seenMs: number][] {
    const shared: [string, number][] = [];
    let length = 0;
    for (const [key, { isThere, seenMs }] of this.#streams) {
      if (!isThere || nowMs - seenMs >= presentMs) continue;
      length += key.length;
      if (length > maxSharedLength) break;
      shared.push([key, seenMs]);
    }
    return shared;
  }

  #put(key: string, known: KnownStream): void {
    this.#streams.delete(key);
    this.#streams.set(key, known);
    if (this.#streams.size > maxStreams) this.#streams.delete(this.#streams.keys().next().value!);
  }
}
