import type { Sample } from "./sample.ts";
import { leadOf, type Track } from "./track.ts";

/** Cues older than the first group that are still shown; more are no subtitles. */
const maxLasting = 256;

/**
 * The last few seconds of a stream, kept as whole groups of pictures so that a reader can start at once.
 * Bounded in bytes: when one group alone is larger, nothing is kept until the next key frame. A cue is kept for as long as it
 * is shown, so that who joins meanwhile shows it, too.
 */
export class RecentSamples {
  #keepMs: number;
  readonly #maxBytes: number;
  #samples: Sample[] = [];
  #bytes = 0;
  /** Index in `#samples` of every sample a reader may start at, with its media time. */
  #starts: { index: number; timeMs: number }[] = [];
  #leadTrackId: number | undefined;
  #latestMs = Number.NEGATIVE_INFINITY;
  /** When each cue that is kept ends. */
  readonly #cueEnds = new Map<Sample, number>();
  /** Cues from before the first group, oldest first. */
  #lasting: Sample[] = [];

  constructor(keepMs: number, maxBytes: number) {
    this.#keepMs = keepMs;
    this.#maxBytes = maxBytes;
  }

  get keepMs(): number {
    return this.#keepMs;
  }

  /** From now on: what is too old goes with the next key frame, what is missing fills up. */
  keep(keepMs: number): void {
    this.#keepMs = keepMs;
  }

  /** The first video track, else the first audio track, else whatever there is, decides where a reader may start. */
  describe(tracks: readonly Track[]): void {
    const lead = leadOf(tracks);
    if (lead?.id !== this.#leadTrackId) this.clear();
    this.#leadTrackId = lead?.id;
  }

  push(sample: Sample, track: Track): void {
    if (track.kind === "subtitle") return this.#pushCue(sample, track);
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
    const media = this.#samples.slice(start.index);
    if (this.#cueEnds.size === 0) return media;
    const before = [...this.#lasting, ...this.#samples.slice(0, start.index)];
    return [...before.filter((sample) => this.#isShownAt(sample, start.timeMs)), ...media];
  }

  /** As {@link since}; before the first picture the cues that have come, which do not come again. */
  toJoin(atLeastMs: number): readonly Sample[] {
    return this.#starts.length > 0 ? this.since(atLeastMs) : [...this.#lasting];
  }

  clear(): void {
    this.#samples = [];
    this.#starts = [];
    this.#bytes = 0;
    this.#latestMs = Number.NEGATIVE_INFINITY;
    this.#cueEnds.clear();
    this.#lasting = [];
  }

  #pushCue(cue: Sample, { timescale }: Track): void {
    this.#cueEnds.set(cue, ((cue.pts + Math.max(cue.duration, timescale)) * 1000) / timescale);
    this.#bytes += cue.data.length;
    if (this.#starts.length > 0) this.#samples.push(cue);
    else this.#addLasting(cue);
  }

  #isShownAt(sample: Sample, timeMs: number): boolean {
    return (this.#cueEnds.get(sample) ?? Number.NEGATIVE_INFINITY) > timeMs;
  }

  #addLasting(cue: Sample): void {
    this.#lasting.push(cue);
    if (this.#lasting.length > maxLasting) this.#forgetCue(this.#lasting.shift()!);
  }

  #forgetCue(cue: Sample): void {
    this.#bytes -= cue.data.length;
    this.#cueEnds.delete(cue);
  }

  /** The youngest start that still covers `atLeastMs`, else the oldest there is. */
  #startCovering(atLeastMs: number): { index: number; timeMs: number } {
    return this.#starts.findLast((start) => this.#latestMs - start.timeMs >= atLeastMs) ?? this.#starts[0]!;
  }

  #dropOld(): void {
    while (this.#starts.length > 1 && this.#latestMs - this.#starts[1]!.timeMs >= this.#keepMs) this.#dropFirstGroup();
  }

  #dropFirstGroup(): void {
    const cut = this.#starts[1]?.index ?? this.#samples.length;
    const dropped = this.#samples.splice(0, cut);
    this.#starts.shift();
    for (const start of this.#starts) start.index -= cut;
    for (const sample of dropped) {
      if (this.#cueEnds.has(sample)) this.#addLasting(sample);
      else this.#bytes -= sample.data.length;
    }
    if (this.#lasting.length > 0) this.#forgetEnded();
  }

  #forgetEnded(): void {
    const firstMs = this.#starts[0]?.timeMs ?? this.#latestMs;
    const isOver = (cue: Sample): boolean => !this.#isShownAt(cue, firstMs);
    for (const cue of this.#lasting) if (isOver(cue)) this.#forgetCue(cue);
    this.#lasting = this.#lasting.filter((cue) => this.#cueEnds.has(cue));
  }
}
