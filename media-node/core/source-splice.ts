import type { Clock } from "../time/clock.ts";
import type { Sample } from "./sample.ts";
import type { Stream, StreamDescription } from "./stream.ts";
import type { Track } from "./track.ts";

/** What is known of one track's output so far. */
interface TrackProgress {
  /** Ticks added to the source's timestamps. */
  shift: number;
  /** Last decoding time put out, in the track's ticks. */
  lastDts: number | undefined;
  /** The sample it belonged to. */
  lastData: Uint8Array | undefined;
  /** Video put out nothing since the last splice: wait for a key frame unless the new source overlaps the old. */
  isWaiting: boolean;
}

/**
 * Joins one source after another into one stream whose timestamps never go back. Where both sources share a clock,
 * times pass unchanged; otherwise the newcomer is shifted to continue where the last one stopped, plus the outage.
 */
export class SourceSplice {
  readonly #stream: Stream;
  readonly #clock: Clock;
  #progress = new Map<number, TrackProgress>();
  #sourceCount = 0;
  #isShared = false;
  #needsShift = false;
  #lastOutMs: number | undefined;
  #lastInputMs = Number.NEGATIVE_INFINITY;
  #dropped = 0;

  constructor(stream: Stream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
  }

  /** When a sample last came in, on the clock that never jumps. */
  get lastInputMs(): number {
    return this.#lastInputMs;
  }

  /** Samples not passed on: already seen, or video before the first key frame of a source. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Call when a new source is about to deliver. */
  begin(description: StreamDescription): void {
    const isFirst = this.#sourceCount++ === 0;
    const before = this.#stream.description;
    const isShared = description.isEpochShared && description.epochMs === before.epochMs;
    this.#needsShift = !isFirst && !(isShared && this.#isShared);
    this.#isShared = isFirst ? description.isEpochShared : isShared;
    if (!isFirst && !haveSameTracks(before.tracks, description.tracks)) {
      this.#stream.describe({ ...description, epochMs: before.epochMs }, true);
    }
    const progress = new Map<number, TrackProgress>();
    for (const track of description.tracks) {
      const known = this.#progress.get(track.id);
      progress.set(track.id, {
        shift: known?.shift ?? 0,
        lastDts: known?.lastDts,
        lastData: known?.lastData,
        isWaiting: true,
      });
    }
    this.#progress = progress;
  }

  /** The current source described itself anew. */
  describe(description: StreamDescription): void {
    const before = this.#stream.description;
    for (const track of description.tracks) {
      if (!this.#progress.has(track.id)) {
        this.#progress.set(track.id, { shift: 0, lastDts: undefined, lastData: undefined, isWaiting: true });
      }
    }
    const isSame = haveSameTracks(before.tracks, description.tracks);
    this.#stream.describe({ ...description, epochMs: before.epochMs }, !isSame);
  }

  push(sample: Sample): void {
    this.#lastInputMs = this.#clock.nowMs();
    const track = this.#stream.track(sample.trackId);
    const progress = this.#progress.get(sample.trackId);
    if (!track || !progress) {
      this.#stream.publish(sample);
      return;
    }
    if (this.#needsShift) this.#shiftAll(sample, track);
    const dts = sample.dts + progress.shift;
    if (this.#isHeldBack(sample, dts, track, progress)) {
      this.#dropped++;
      return;
    }
    progress.lastDts = dts;
    progress.lastData = sample.data;
    this.#lastOutMs = Math.max(this.#lastOutMs ?? Number.NEGATIVE_INFINITY, (dts / track.timescale) * 1000);
    this.#stream.publish(progress.shift === 0 ? sample : { ...sample, dts, pts: sample.pts + progress.shift });
  }

  #isHeldBack(sample: Sample, dts: number, track: Track, progress: TrackProgress): boolean {
    const isRepeat = progress.lastDts !== undefined && dts <= progress.lastDts;
    if (track.kind !== "video") return isRepeat;
    if (progress.isWaiting) {
      // The last sample once more, byte for byte: nothing is missing between old and new.
      if (dts === progress.lastDts && haveSameBytes(sample.data, progress.lastData)) progress.isWaiting = false;
      else if (sample.isKeyframe && !isRepeat) progress.isWaiting = false;
      else return true;
    }
    return isRepeat;
  }

  /** Places the newcomer's first sample where the stream stopped, plus the time that passed since. */
  #shiftAll(first: Sample, firstTrack: Track): void {
    this.#needsShift = false;
    const outageMs = this.#clock.nowMs() - this.#stream.stats.lastSampleMs;
    const startMs = (this.#lastOutMs ?? 0) + Math.max(1, outageMs);
    const shiftMs = startMs - (first.dts / firstTrack.timescale) * 1000;
    for (const [id, progress] of this.#progress) {
      const track = this.#stream.track(id);
      if (track) progress.shift = Math.round((shiftMs * track.timescale) / 1000);
    }
  }
}

/** Whether decoders can go on without being set up anew. */
function haveSameTracks(before: readonly Track[], after: readonly Track[]): boolean {
  return (
    before.length === after.length &&
    before.every((track, index) => {
      const other = after[index]!;
      return (
        track.id === other.id &&
        track.codec === other.codec &&
        track.timescale === other.timescale &&
        haveSameBytes(track.decoderConfig, other.decoderConfig)
      );
    })
  );
}

function haveSameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (!a || !b) return a === b;
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
