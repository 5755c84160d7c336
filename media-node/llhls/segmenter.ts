import type { Sample } from "../core/sample.ts";
import type { SilenceFiller } from "./silence-filler.ts";
import { ticksToMs, type SegmentGrid } from "./segment-grid.ts";

/** Where a segment begins, for the tracks that follow the leading one. */
export interface Boundary {
  readonly msn: number;
  /** Stream time of the first picture shown. */
  readonly timeMs: number;
  readonly isCanonical: boolean;
}

/** What a cutter tells about one track, in order. */
export interface SegmentSink {
  /**
   * Ends the open segment, if any, and begins segment `msn`, always one more than the one before, except for the first
   * and after an outage longer than {@link maxEmptySegments}.
   * @param startMs stream time
   * @param isCanonical false for a segment that was joined in its middle: other edges know a longer one
   */
  open(msn: number, startMs: number, isCanonical: boolean): void;
  /** `durationTicks` reaches exactly to the next sample, unless nothing came for a whole cell. */
  add(sample: Sample, durationTicks: number): void;
}

/** Segments without media listed for an outage; after a longer one numbering goes on at the new place. */
export const maxEmptySegments = 32;

/** What the source says, else what the sample before took, else one tick. */
function guessedDuration(sample: Sample, before: number): number {
  return sample.duration > 0 ? sample.duration : before > 0 ? before : 1;
}

/**
 * Cuts the leading track. Segment *n* begins with the first key frame in cell *n*, or, when the cell holds none, with
 * its last sample. That depends on the samples of one cell only: edges that joined at different moments agree from the
 * first boundary both have seen, numbers never skip, and no segment is longer than two cells.
 */
export class LeadCutter {
  readonly #grid: SegmentGrid;
  readonly #timescale: number;
  readonly #sink: SegmentSink;
  readonly #onBoundary: (boundary: Boundary) => void;
  #pending: Sample | undefined;
  #open: number | undefined;
  #hasBegun = false;
  #lastDuration = 0;
  #passedMs = Number.NEGATIVE_INFINITY;

  /** @param after the last number used before a discontinuity: the next segment gets a higher one */
  constructor(
    grid: SegmentGrid,
    timescale: number,
    sink: SegmentSink,
    onBoundary: (boundary: Boundary) => void,
    after?: number,
  ) {
    this.#grid = grid;
    this.#timescale = timescale;
    this.#sink = sink;
    this.#onBoundary = onBoundary;
    this.#open = after;
  }

  /** Every boundary before this stream time is known. */
  get knownUntilMs(): number {
    return this.#pending ? this.#timeMs(this.#pending.dts) : this.#passedMs;
  }

  push(sample: Sample): void {
    const timeMs = this.#timeMs(sample.dts);
    if (timeMs <= this.knownUntilMs || !(this.#hasBegun || sample.isKeyframe)) return;
    if (this.#pending) this.#settle(this.#pending, sample);
    this.#pending = sample;
    const cell = this.#grid.cellAt(timeMs);
    if (this.#hasBegun) this.#leaveEmpty(cell);
    if (!this.#hasBegun) this.#begin(Math.max(cell, (this.#open ?? cell - 1) + 1), sample, false);
    else if (sample.isKeyframe && cell > this.#open!) this.#begin(cell, sample, true);
  }

  /** Goes on without samples: the other tracks show that none come before `timeMs`. */
  pass(timeMs: number): void {
    if (!this.#hasBegun || timeMs <= this.knownUntilMs) return;
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending) {
      const cell = this.#cellOf(pending);
      if (cell > this.#open!) this.#begin(cell, pending, true);
      this.#sink.add(pending, guessedDuration(pending, this.#lastDuration));
    }
    const cell = this.#grid.cellAt(timeMs);
    // The boundary of a cell that goes on is not known: samples may still come in it.
    this.#passedMs = this.#open === cell ? timeMs : this.#grid.startOf(cell);
    this.#leaveEmpty(cell);
  }

  /** Puts out the sample that waits for its successor. Nothing may be pushed afterwards. */
  end(): void {
    const pending = this.#pending;
    this.#pending = undefined;
    if (pending) this.#sink.add(pending, guessedDuration(pending, this.#lastDuration));
  }

  #settle(sample: Sample, next: Sample): void {
    const cell = this.#cellOf(sample);
    const nextCell = this.#cellOf(next);
    if (cell > this.#open! && nextCell > cell) this.#begin(cell, sample, true);
    const isOutage = nextCell > cell + 1;
    const duration = isOutage ? guessedDuration(sample, this.#lastDuration) : next.dts - sample.dts;
    this.#lastDuration = duration;
    this.#sink.add(sample, duration);
  }

  #begin(msn: number, sample: Sample, isCanonical: boolean): void {
    if (this.#open !== undefined) this.#leaveEmpty(msn);
    this.#hasBegun = true;
    this.#announce(msn, this.#timeMs(sample.pts), isCanonical);
  }

  /** Cells before `cell` that have no boundary yet had no sample either. */
  #leaveEmpty(cell: number): void {
    const first = Math.max(this.#open! + 1, cell - maxEmptySegments);
    for (let empty = first; empty < cell; empty++) this.#announce(empty, this.#grid.startOf(empty), true);
  }

  #announce(msn: number, timeMs: number, isCanonical: boolean): void {
    this.#open = msn;
    this.#sink.open(msn, timeMs, isCanonical);
    this.#onBoundary({ msn, timeMs, isCanonical });
  }

  #cellOf(sample: Sample): number {
    return this.#grid.cellAt(this.#timeMs(sample.dts));
  }

  #timeMs(ticks: number): number {
    return ticksToMs(ticks, this.#timescale);
  }
}

/** Samples of one follower that may wait for the leading track; the oldest go first. */
const maxWaiting = 4_096;

/**
 * Cuts a track at the boundaries of the leading one: its segment *n* holds the samples from the first picture of the
 * leading segment *n* to that of *n* + 1. Waits until the leading track has passed a sample before placing it.
 */
export class FollowCutter {
  readonly #timescale: number;
  readonly #sink: SegmentSink;
  readonly #filler: SilenceFiller | undefined;
  #waiting: Sample[] = [];
  #boundaries: Boundary[] = [];
  #openStartMs: number | undefined;
  #lastDts = Number.NEGATIVE_INFINITY;
  #lastDuration = 0;

  /** @param filler makes what stands where no samples come; none = a hole */
  constructor(timescale: number, sink: SegmentSink, filler?: SilenceFiller) {
    this.#timescale = timescale;
    this.#sink = sink;
    this.#filler = filler;
  }

  push(sample: Sample): void {
    if (sample.dts <= this.#lastDts) return this.#filler?.late(sample.dts);
    const filled = this.#filler?.before(sample.dts, this.#lastDts) ?? [];
    for (const silent of filled) this.#hold(silent);
    this.#hold(sample);
  }

  #hold(sample: Sample): void {
    this.#lastDts = sample.dts;
    this.#waiting.push(sample);
    if (this.#waiting.length > maxWaiting) this.#waiting.shift();
  }

  boundary(boundary: Boundary): void {
    this.#boundaries.push(boundary);
  }

  /** What has not been placed yet, oldest first. This cutter must not be used afterwards. */
  takeWaiting(): Sample[] {
    return this.#waiting.splice(0);
  }

  /** Places every sample before `knownUntilMs` that has a successor. */
  advance(knownUntilMs: number): void {
    const waiting = this.#waiting;
    if (this.#filler) {
      const fromMs = this.#boundaries.at(-1)?.timeMs ?? this.#openStartMs;
      for (const silent of this.#filler.advance(knownUntilMs, this.#lastDts, fromMs)) this.#hold(silent);
    }
    let placed = 0;
    for (; placed < waiting.length; placed++) {
      const sample = waiting[placed]!;
      const timeMs = ticksToMs(sample.pts, this.#timescale);
      if (timeMs >= knownUntilMs) break;
      this.#openUntil(timeMs);
      const next = waiting[placed + 1];
      if (!next) break;
      if (this.#openStartMs !== undefined && timeMs >= this.#openStartMs) this.#add(sample, next);
    }
    if (placed > 0) waiting.splice(0, placed);
  }

  /** Opens what the leading track has opened, without waiting for samples that may never come. */
  openUntil(timeMs: number): void {
    this.#openUntil(timeMs);
  }

  end(): void {
    for (const [index, sample] of this.#waiting.entries()) {
      this.#openUntil(ticksToMs(sample.pts, this.#timescale));
      if (this.#openStartMs === undefined) continue;
      const next = this.#waiting[index + 1];
      if (next) this.#add(sample, next);
      else this.#sink.add(sample, guessedDuration(sample, this.#lastDuration));
    }
    this.#waiting = [];
    this.#openUntil(Number.POSITIVE_INFINITY);
  }

  #add(sample: Sample, next: Sample): void {
    const gapMs = ((next.dts - sample.dts) / this.#timescale) * 1000;
    // Audio that was silent for long is a hole, not one long frame.
    const isOutage = gapMs > maxFrameMs;
    const duration = isOutage ? guessedDuration(sample, this.#lastDuration) : next.dts - sample.dts;
    this.#lastDuration = duration;
    this.#sink.add(sample, duration);
  }

  #openUntil(timeMs: number): void {
    let opened = 0;
    for (const { msn, timeMs: startMs, isCanonical } of this.#boundaries) {
      if (startMs > timeMs) break;
      this.#sink.open(msn, startMs, isCanonical);
      this.#openStartMs = startMs;
      opened++;
    }
    if (opened > 0) this.#boundaries.splice(0, opened);
  }
}

/** Longest audio frame a codec knows is 120 ms; what lies further apart has a hole between. */
const maxFrameMs = 500;
