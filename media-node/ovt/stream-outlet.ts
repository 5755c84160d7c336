import type { CloseReason } from "../flow/close-group.ts";
import type { Sample } from "../core/sample.ts";
import type { Stream } from "../core/stream.ts";
import type { Track } from "../core/track.ts";
import type { Clock, Timer } from "../time/clock.ts";
import { SampleEncoder, type EncodedSample } from "./sample-encoder.ts";

/** Samples that are sent together: one write for each session that takes all of them. */
export interface SampleBatch {
  /** The samples' bytes, joined. */
  readonly bytes: Uint8Array;
  readonly samples: readonly EncodedSample[];
  readonly hasData: boolean;
  /** Whether some of it is for Hearth edges alone. */
  readonly isForHearth: boolean;
}

/** One session as its stream's outlet sees it. Must not throw. */
export interface OutletTap {
  onBatch(batch: SampleBatch): void;
  onEnd(reason: CloseReason): void;
}

export interface StreamOutletOptions {
  readonly clock: Clock;
  /** How long audio may wait for video with one session, and with many. */
  readonly minWaitMs: number;
  readonly maxWaitMs: number;
}

/** A batch is sent as soon as it holds this much, since joining more saves nothing. */
const maxBatchBytes = 65_536;

/**
 * Where one stream leaves the node by OVT: every sample is serialised once, samples that come close together are joined
 * once, and each session gets the same buffer. Lives as long as it has sessions.
 */
export class StreamOutlet {
  readonly stream: Stream;
  readonly #encoder = new SampleEncoder();
  readonly #taps = new Set<OutletTap>();
  readonly #options: StreamOutletOptions;
  readonly #removeReader: () => void;
  #tracks: readonly Track[];
  #pending: EncodedSample[] = [];
  #pendingBytes = 0;
  #timer: Timer | undefined;
  /** Whether what waits leaves in this turn. */
  #isDue = false;

  constructor(stream: Stream, options: StreamOutletOptions) {
    this.stream = stream;
    this.#options = options;
    this.#tracks = stream.description.tracks;
    this.#encoder.describe(this.#tracks);
    this.#removeReader = stream.addReader({
      onSample: (sample) => this.#onSample(sample),
      onDescription: ({ tracks }) => this.#onTracks(tracks),
      onEnd: (reason) => this.#end(reason),
    });
  }

  get tapCount(): number {
    return this.#taps.size;
  }

  get encodedCount(): number {
    return this.#encoder.encodedCount;
  }

  /** Adds a session; it gets recent media at once, from a key frame on and covering at least `recentMs`, then what follows. */
  attach(tap: OutletTap, recentMs: number): void {
    this.flush();
    const recent = this.stream.samplesToJoin(recentMs).flatMap((sample) => this.#encoder.encode(sample) ?? []);
    this.#taps.add(tap);
    for (let from = 0; from < recent.length;) {
      let to = from;
      for (let bytes = 0; to < recent.length && bytes < maxBatchBytes; to++) bytes += recent[to]!.bytes.length;
      tap.onBatch(batchOf(recent.slice(from, to)));
      from = to;
    }
  }

  detach(tap: OutletTap): void {
    this.#taps.delete(tap);
  }

  /** Sends what waits. */
  flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#isDue = false;
    if (this.#pending.length === 0) return;
    const batch = batchOf(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    for (const tap of this.#taps) tap.onBatch(batch);
  }

  /** Stops reading the stream; sessions are not told. */
  close(): void {
    this.#removeReader();
    this.#timer?.cancel();
    this.#pending = [];
  }

  #onSample(sample: Sample): void {
    if (this.#taps.size === 0) return;
    const encoded = this.#encoder.encode(sample);
    if (!encoded) return;
    this.#pending.push(encoded);
    this.#pendingBytes += encoded.bytes.length;
    if (this.#pendingBytes >= maxBatchBytes) this.flush();
    else this.#arm(encoded.isVideo);
  }

  /**
   * Video goes in the same turn, with all that came in one read with it; audio waits for it, the longer the more sessions a
   * write would cost.
   */
  #arm(isVideo: boolean): void {
    if (this.#isDue) return;
    if (isVideo) {
      this.#isDue = true;
      queueMicrotask(() => this.flush());
    } else if (!this.#timer) {
      const { clock, minWaitMs, maxWaitMs } = this.#options;
      this.#timer = clock.after(Math.min(maxWaitMs, minWaitMs + this.#taps.size), () => this.flush());
    }
  }

  /** OVT cannot tell an edge of new tracks while it plays: sessions end, and edges that come back are told. */
  #onTracks(tracks: readonly Track[]): void {
    const isSame = haveSameShape(this.#tracks, tracks);
    this.flush();
    this.#tracks = tracks;
    this.#encoder.describe(tracks);
    if (!isSame) this.#end({ code: "described-anew" });
  }

  #end(reason: CloseReason): void {
    this.flush();
    for (const tap of this.#taps) tap.onEnd(reason);
    this.#taps.clear();
  }
}

/** Whether an edge that knows the first list can make sense of samples of the second; parameter sets come in band. */
function haveSameShape(before: readonly Track[], after: readonly Track[]): boolean {
  const shape = ({ id, codec, timescale }: Track): string => `${id} ${codec} ${timescale}`;
  return before.map(shape).join() === after.map(shape).join();
}

function batchOf(samples: readonly EncodedSample[]): SampleBatch {
  const bytes = samples.length === 1 ? samples[0]!.bytes : Buffer.concat(samples.map((sample) => sample.bytes));
  const hasData = samples.some(({ isData }) => isData);
  return { bytes, samples, hasData, isForHearth: samples.some(({ isForHearth }) => isForHearth) };
}
