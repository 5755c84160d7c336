import type { Sample } from "./sample.ts";
import { leadOf, type Track } from "./track.ts";

/**
 * The last few seconds of a stream, kept as whole groups of pictures so that a reader can start at once.
 * Bounded in bytes: when one group alone is larger, nothing is kept until the next key frame.
 */
export class RecentSamples {
  readonly #keepMs: number;
  readonly #maxBytes: number;
  #samples: Sample[] = [];
  #bytes = 0;
  /** Index in `#samples` of every sample a reader may start at, with its media time. */
  #starts: { index: number; timeMs: number }[] = [];
  #leadTrackId: number | undefined;
  #latestMs = Number.NEGATIVE_INFINITY;

  constructor(keepMs: number, maxBytes: number) {
    this.#keepMs = keepMs;
    this.#maxBytes = maxBytes;
  }

  /** The first video track, else the first audio track, else whatever there is, decides where a reader may start. */
  describe(tracks: readonly Track[]): void {
    const lead = leadOf(tracks);
    if (lead?.id !== this.#leadTrackId) this.clear();
    this.#leadTrackId = lead?.id;
  }

  push(sample: Sample, track: Track): void {
    const timeMs = (sample.dts / track.timescale) * 1000;
    const isStart = sample.trackId === this.#leadTrackId && sample.isKeyframe;
    if (isStart) {
      this.#starts.push({ index: this.#samples.length, timeMs });
      this.#latestMs = timeMs;
      this.#dropOld();
    }
    if (this.#starts.length === 0) return;
    if (sample.trackId === this.#leadTrackId) this.#latestMs = timeMs;
    this.#samples.push(sample);
    this.#bytes += sample.data.length;
    while (this.#bytes > this.#maxBytes && this.#starts.length > 0) this.#dropFirstGroup();
  }

  since(atLeastMs: number): readonly Sample[] {
    const last = this.#starts.at(-1);
    if (!last) return [];
    const start = atLeastMs <= 0 ? last : this.#startCovering(atLeastMs);
    return this.#samples.slice(start.index);
  }

  clear(): void {
    this.#samples = [];
    this.#starts = [];
    this.#bytes = 0;
    this.#latestMs = Number.NEGATIVE_INFINITY;
  }

  /** The youngest start that still covers `atLeastMs`, else the oldest there is. */
  #startCovering(atLeastMs: number): { index: number } {
    return this.#starts.findLast((start) => this.#latestMs - start.timeMs >= atLeastMs) ?? this.#starts[0]!;
  }

  #dropOld(): void {
    while (this.#starts.length > 1 && this.#latestMs - this.#starts[1]!.timeMs >= this.#keepMs) this.#dropFirstGroup();
  }

  #dropFirstGroup(): void {
    const cut = this.#starts[1]?.index ?? this.#samples.length;
    for (const dropped of this.#samples.splice(0, cut)) this.#bytes -= dropped.data.length;
    this.#starts.shift();
    for (const start of this.#starts) start.index -= cut;
  }
}
