import type { EncodedSample } from "./sample-encoder.ts";
import type { SampleBatch } from "./stream-outlet.ts";

export interface SendQueueOptions {
  readonly maxBytes: number;
  /** Samples that waited longer are stale. */
  readonly maxAgeMs: number;
  /** Data and subtitles are left out for peers that do not expect them. */
  readonly takesData: boolean;
  /** A Hearth node, which takes what OvenMediaEngine has no format for. */
  readonly isHearth: boolean;
}

interface Entry {
  readonly bytes: Uint8Array;
  readonly samples: readonly EncodedSample[];
  readonly atMs: number;
}

/**
 * What one session still has to send: shared buffers, bounded in bytes and in age. When it overflows, whole samples are
 * dropped from the oldest on, and each video track goes on with its next key frame. Never a part of a sample.
 */
export class SendQueue {
  readonly #options: SendQueueOptions;
  /** Video tracks of which something was dropped, until their next key frame. */
  readonly #waiting = new Set<number>();
  #entries: Entry[] = [];
  #bytes = 0;
  #dropped = 0;

  constructor(options: SendQueueOptions) {
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  /** Samples dropped so far, data left out on purpose not counted. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Whether nothing stands before this batch, and all of it is to be sent: it may be written without being queued. */
  isPassing(batch: SampleBatch): boolean {
    return this.#entries.length === 0 && this.#isWhole(batch);
  }

  push(batch: SampleBatch, nowMs: number): void {
    if (this.#isWhole(batch)) this.#append(batch.bytes, batch.samples, nowMs);
    else for (const sample of batch.samples) if (this.#passes(sample)) this.#append(sample.bytes, [sample], nowMs);
    this.#enforce(nowMs);
  }

  /** The next bytes to write; they end on the border of a sample. */
  shift(): Uint8Array | undefined {
    const entry = this.#entries.shift();
    if (entry) this.#bytes -= entry.bytes.length;
    return entry?.bytes;
  }

  /** Forgets everything that waits. */
  clear(): void {
    this.#entries = [];
    this.#bytes = 0;
  }

  #isWhole(batch: SampleBatch): boolean {
    const { takesData, isHearth } = this.#options;
    return this.#waiting.size === 0 && (takesData || !batch.hasData) && (isHearth || !batch.isForHearth);
  }

  #append(bytes: Uint8Array, samples: readonly EncodedSample[], atMs: number): void {
    this.#entries.push({ bytes, samples, atMs });
    this.#bytes += bytes.length;
  }

  #passes(sample: EncodedSample): boolean {
    if (sample.isData && !this.#options.takesData) return false;
    if (sample.isForHearth && !this.#options.isHearth) return false;
    if (!sample.isVideo || !this.#waiting.has(sample.trackId)) return true;
    if (!sample.isKeyframe) {
      this.#dropped++;
      return false;
    }
    this.#waiting.delete(sample.trackId);
    return true;
  }

  #enforce(nowMs: number): void {
    const { maxBytes, maxAgeMs } = this.#options;
    const oldest = this.#entries[0];
    if (!oldest || (this.#bytes <= maxBytes && nowMs - oldest.atMs <= maxAgeMs)) return;
    this.#waiting.clear();
    const before = this.#entries;
    this.clear();
    // Half of the limits, so that one overflow does not follow the other.
    const keepFromMs = nowMs - maxAgeMs / 2;
    let surplus = before.reduce((sum, entry) => sum + entry.bytes.length, 0) - maxBytes / 2;
    for (const entry of before) {
      const isStale = entry.atMs < keepFromMs || surplus > 0;
      surplus -= entry.bytes.length;
      if (isStale) this.#drop(entry);
      else
        for (const sample of entry.samples) if (this.#passes(sample)) this.#append(sample.bytes, [sample], entry.atMs);
    }
  }

  #drop(entry: Entry): void {
    this.#dropped += entry.samples.length;
    for (const sample of entry.samples) if (sample.isVideo) this.#waiting.add(sample.trackId);
  }
}
