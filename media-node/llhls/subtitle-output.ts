import { maxCueMs, parseCueSample, serializeCues, type Cue } from "../codecs/webvtt.ts";
import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import type { OutputTrack } from "./cmaf-track-of.ts";
import type { MediaSegment } from "./media-segment.ts";
import { ticksToMs } from "./segment-grid.ts";
import type { TrackOutput } from "./track-output.ts";

/** Cues that are shown or about to be; more are no subtitles. The oldest go first. */
const maxCues = 1_000;
/** A cue whose end nobody stated is shown for so long, as OvenMediaEngine does. */
const unstatedMs = 1_000;

/** What a subtitle track is to {@link TrackOutput}. */
export function subtitleTrackOf({ timescale }: Track): OutputTrack {
  const none = { decoderConfig: new Uint8Array(), width: 0, height: 0, sampleRate: 0, channels: 0 };
  return { kind: "subtitle", codec: "webvtt", timescale, ...none };
}

/**
 * A subtitle track in the segments and parts of the leading track: same numbers, times, breaks, and parts. Each file holds the
 * cues that are shown during it, with their whole times, and those that came since the part before: who sent them late has
 * them shown late, not never. Depends on the order of the source's samples alone, so that all edges write the same bytes.
 */
export class SubtitleOutput {
  readonly output: TrackOutput;
  readonly #track: OutputTrack;
  #cues: Cue[] = [];
  /** Of {@link #cues}, those that came since the last part was written. */
  #news = new Set<Cue>();
  #hasCues = false;

  constructor(output: TrackOutput) {
    this.output = output;
    this.#track = output.track;
  }

  /** Whether a cue ever came. */
  get hasCues(): boolean {
    return this.#hasCues;
  }

  push({ data, pts, duration }: Sample, { timescale }: Track): void {
    const body = parseCueSample(data);
    if (!body) return;
    this.#hasCues = true;
    const startMs = ticksToMs(pts, timescale);
    const shownMs = duration > 0 ? (duration * 1_000) / timescale : unstatedMs;
    const cue = { ...body, startMs, endMs: startMs + Math.min(shownMs, maxCueMs) };
    this.#cues.push(cue);
    this.#news.add(cue);
    if (this.#cues.length > maxCues) this.#news.delete(this.#cues.shift()!);
  }

  /** Takes over what the leading track has got since the last call; to be called whenever it gets something. */
  follow(lead: TrackOutput): void {
    const own = this.output.segments.at(-1);
    const first = own === undefined ? lead.segments[0]?.msn : own.msn;
    const last = lead.segments.at(-1)?.msn;
    if (first === undefined || last === undefined) return;
    for (let msn = Math.max(first, lead.segments[0]!.msn); msn <= last; msn++) {
      const segment = lead.segmentAt(msn);
      if (segment) this.#followSegment(segment);
    }
  }

  #followSegment(segment: MediaSegment): void {
    const { output } = this;
    const { msn, isCanonical, isComplete, discontinuities, durationMs, parts, startMs } = segment;
    const before = output.segments.at(-1);
    if (before === undefined || before.msn < msn) {
      if (before && discontinuities > 0) output.describe(this.#track, discontinuities);
      output.open(msn, startMs, isCanonical);
    }
    const open = output.openSegment;
    if (open?.msn !== msn) return;
    // The first picture tells exactly when it begins.
    if (open.parts.length === 0) open.startMs = startMs;
    for (const { durationMs: partMs } of parts.slice(open.parts.length)) this.#addPart(open, partMs);
    if (!isComplete) return;
    const endMs = startMs + durationMs;
    output.closeSegment(endMs, serializeCues(this.#shown(startMs, endMs, false), startMs));
    this.#forget(endMs);
  }

  #addPart(open: MediaSegment, durationMs: number): void {
    const fromMs = open.startMs + open.durationMs;
    this.output.addWritten(serializeCues(this.#shown(fromMs, fromMs + durationMs, true), fromMs), durationMs);
  }

  /** By start; cues that start together in the order they came. */
  #shown(fromMs: number, untilMs: number, isPart: boolean): readonly Cue[] {
    if (this.#cues.length === 0) return this.#cues;
    const shown = this.#cues.filter(
      (cue) => cue.startMs < untilMs && (cue.endMs > fromMs || (isPart && this.#news.has(cue))),
    );
    if (isPart) for (const cue of shown) this.#news.delete(cue);
    return shown.sort((a, b) => a.startMs - b.startMs);
  }

  /** What is over is in no file to come; a late cue still goes into the next part. */
  #forget(endMs: number): void {
    if (this.#cues.length === 0) return;
    this.#cues = this.#cues.filter((cue) => cue.endMs > endMs || this.#news.has(cue));
  }
}
