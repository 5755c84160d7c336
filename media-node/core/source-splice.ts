import { haveSameBytes } from "../bytes/same-bytes.ts";
import type { Clock } from "../time/clock.ts";
import type { Sample } from "./sample.ts";
import { haveSameTracks } from "./same-tracks.ts";
import { SeenCues } from "./seen-cues.ts";
import type { Stream, StreamDescription } from "./stream.ts";
import { leadOf, type Track } from "./track.ts";

/** What is known of one track's output so far. */
interface TrackProgress {
  /** Ticks added to the source's timestamps. */
  shift: number;
  /** Last decoding time put out, in the track's ticks. */
  lastDts: number | undefined;
  /** From the sample before to the last one, in ticks. */
  lastStep: number;
  /** The sample it belonged to. */
  lastData: Uint8Array | undefined;
  /** Video put out nothing since the last splice: wait for a key frame unless the new source overlaps the old. */
  isWaiting: boolean;
}

/** A shared clock that puts a newcomer further ahead than time has passed is wrong. */
const maxLeadMs = 10_000;
/** The same for a newcomer that lags; up to here viewers wait for it to catch up, and no picture is missing. */
const maxLagMs = 5_000;
/** Recent media that an origin gives to who joins has come by then. */
const burstMs = 1_000;
/** Repeats count as input while a newcomer may still be catching up, not when it does nothing else. */
const catchUpMs = 6_000;
/** Pictures that nobody can decode count as input no longer than this: some sources never send a key frame again. */
const maxKeyframeWaitMs = 20_000;
/** A newcomer may lag by so much for room to be made for its next key frame, and that may take so long. */
const maxRoomMs = 1_000;
const roomPatienceMs = 2_000;
/** More ids than that are made up. */
const maxEnds = 256;
/** Frames further apart than this are an outage, not a frame rate. */
const maxStepMs = 200;

/**
 * Joins one source after another into one stream whose timestamps never go back. Where both sources share a clock, each
 * keeps its own times (moved by the difference of their epochs); otherwise the newcomer is shifted to continue where the
 * last one stopped, plus the outage.
 */
export class SourceSplice {
  readonly #stream: Stream;
  readonly #clock: Clock;
  /** Whether the stream's own times are those of a clock that sources share: its first source decides. */
  readonly #isShared: boolean;
  #progress = new Map<number, TrackProgress>();
  /** Where tracks ended that the present source does not have, in milliseconds: they may come again. */
  readonly #endedMs = new Map<number, number>();
  #sourceCount = 0;
  #beganMs = 0;
  #isByClock = true;
  #needsShift = false;
  #heldMs = 0;
  /** Added to the present source's times. */
  #shiftMs = 0;
  /** Samples from this time on are kept back for a newcomer, until `untilMs`. */
  #room: { readonly fromMs: number; readonly untilMs: number; readonly kept: Sample[] } | undefined;
  #lastOutMs: number | undefined;
  #lastInputMs = Number.NEGATIVE_INFINITY;
  readonly #seenCues = new SeenCues();

  constructor(stream: Stream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
    this.#isShared = stream.description.isEpochShared;
  }

  /** When media that goes on last came in, on the clock that never jumps. Nothing but repeats is no media. */
  get lastInputMs(): number {
    return this.#lastInputMs;
  }

  /**
   * Call when a new source is about to deliver.
   * @param heldMs how much media of its past it delivers first
   */
  begin(description: StreamDescription, heldMs = 0): void {
    const isFirst = this.#sourceCount++ === 0;
    const before = this.#stream.description;
    this.#beganMs = this.#clock.nowMs();
    this.#heldMs = heldMs;
    this.#room = undefined;
    this.#isByClock = isFirst || this.isOnSameClock(description);
    this.#needsShift = !this.#isByClock;
    this.#noteEnds();
    this.#shiftMs = isFirst ? 0 : description.epochMs - before.epochMs;
    this.#progress = this.#progressFor(description);
    if (isFirst) return;
    // Of tracks that are new, too, nothing is sent that is older than what viewers saw.
    for (const [id, progress] of this.#progress) this.#startAfterLast(id, progress, description);
    this.#announce(description);
  }

  /** The current source described itself anew. */
  describe(description: StreamDescription): void {
    for (const [id, progress] of this.#progressFor(description)) {
      if (!this.#progress.has(id)) this.#progress.set(id, progress);
    }
    this.#announce(description);
  }

  /** Whether such a source's times can be taken as they are, but for the epoch. */
  isOnSameClock({ isEpochShared }: StreamDescription): boolean {
    return this.#isShared && isEpochShared;
  }

  /**
   * Whether a source that has sent `held` could take over from one that still plays without a picture missing: it holds
   * the very sample that went out last, or a key frame that is due next.
   */
  joins(description: StreamDescription, held: readonly Sample[]): boolean {
    const lead = leadOf(description.tracks);
    const progress = lead && this.#progress.get(lead.id);
    if (!lead || progress?.lastDts === undefined || this.#stream.track(lead.id)?.timescale !== lead.timescale)
      return true;
    if (!this.isOnSameClock(description)) return held.findLast(isOf(lead))?.isKeyframe ?? false;
    const shift = ticksOf(description.epochMs - this.#stream.description.epochMs, lead);
    const dueBy = progress.lastDts + Math.max(1, progress.lastStep * 1.5);
    return held.some(({ trackId, dts, isKeyframe, data }) => {
      if (trackId !== lead.id) return false;
      const at = dts + shift;
      if (at === progress.lastDts && haveSameBytes(data, progress.lastData)) return true;
      return isKeyframe && at > progress.lastDts! && at <= dueBy;
    });
  }

  /**
   * A newcomer that lags sends each key frame when the stream is past it already. Its next one is due as long after the
   * last as that was after the one before: from there on, the present source is kept back a moment.
   */
  makeRoomFor(description: StreamDescription, held: readonly Sample[]): void {
    const lead = leadOf(description.tracks);
    const progress = lead && this.#progress.get(lead.id);
    if (this.#room || !lead || progress?.lastDts === undefined || !this.isOnSameClock(description)) return;
    const keys = held.filter((sample) => sample.trackId === lead.id && sample.isKeyframe);
    const [before, last] = [keys.at(-2), keys.at(-1)];
    if (!before || !last) return;
    const shift = ticksOf(description.epochMs - this.#stream.description.epochMs, lead);
    const next = 2 * last.dts - before.dts + shift;
    const newest = held.findLast(isOf(lead))!.dts + shift;
    const lagMs = ((progress.lastDts - newest) * 1000) / lead.timescale;
    if (lagMs < 0 || lagMs > maxRoomMs || next <= progress.lastDts) return;
    const fromMs = (next * 1000) / lead.timescale;
    const untilMs = this.#clock.nowMs() + fromMs - (newest * 1000) / lead.timescale + roomPatienceMs;
    this.#room = { fromMs, untilMs, kept: [] };
  }

  /** What was kept back goes out after all. */
  fillRoom(): void {
    const { kept } = this.#room ?? { kept: [] };
    this.#room = undefined;
    for (const sample of kept) this.push(sample);
  }

  push(sample: Sample): void {
    const nowMs = this.#clock.nowMs();
    const track = this.#stream.track(sample.trackId);
    const progress = this.#progress.get(sample.trackId);
    if (!track || !progress) {
      this.#stream.publish(sample);
      return;
    }
    if (track.kind === "subtitle") return this.#pushCue(sample, progress);
    if (this.#needsShift || (this.#isByClock && this.#isImplausible(sample.dts + progress.shift, track, nowMs))) {
      this.#shiftAll(sample, track, nowMs);
    }
    const dts = sample.dts + progress.shift;
    if (this.#room && this.#isKept(sample, dts, track, nowMs)) return;
    const isRepeat = progress.lastDts !== undefined && dts <= progress.lastDts;
    if (this.#isHeldBack(sample, isRepeat, dts, track, progress)) {
      const patienceMs = isRepeat ? catchUpMs : maxKeyframeWaitMs;
      if (nowMs - this.#beganMs < patienceMs) this.#lastInputMs = nowMs;
      return;
    }
    this.#lastInputMs = nowMs;
    this.#remember(sample, dts, track, progress);
    this.#stream.publish(progress.shift === 0 ? sample : { ...sample, dts, pts: sample.pts + progress.shift });
  }

  /** Cues come before their time and in any order: they say nothing of where the source stands. */
  #pushCue(sample: Sample, { shift }: TrackProgress): void {
    const pts = sample.pts + shift;
    // Where times are shifted, nobody knows when it is shown before the first picture came.
    if (this.#needsShift || !this.#seenCues.isNew(sample, pts)) return;
    this.#stream.publish(shift === 0 ? sample : { ...sample, pts, dts: sample.dts + shift });
  }

  #isKept(sample: Sample, dts: number, track: Track, nowMs: number): boolean {
    const { fromMs, untilMs, kept } = this.#room!;
    if (nowMs >= untilMs) this.fillRoom();
    else if ((dts * 1000) / track.timescale >= fromMs - 1) {
      this.#lastInputMs = nowMs;
      return kept.push(sample) > 0;
    }
    return false;
  }

  #remember(sample: Sample, dts: number, track: Track, progress: TrackProgress): void {
    const step = progress.lastDts === undefined ? 0 : dts - progress.lastDts;
    if (step * 1000 <= maxStepMs * track.timescale) progress.lastStep = step;
    progress.lastDts = dts;
    progress.lastData = sample.data;
    this.#lastOutMs = Math.max(this.#lastOutMs ?? Number.NEGATIVE_INFINITY, (dts / track.timescale) * 1000);
  }

  #isHeldBack(sample: Sample, isRepeat: boolean, dts: number, track: Track, progress: TrackProgress): boolean {
    if (track.kind !== "video") return isRepeat;
    if (progress.isWaiting) {
      // The last sample once more, byte for byte: nothing is missing between old and new.
      if (dts === progress.lastDts && haveSameBytes(sample.data, progress.lastData)) progress.isWaiting = false;
      else if (sample.isKeyframe && !isRepeat) progress.isWaiting = false;
      else return true;
    }
    return isRepeat;
  }

  /** A source on a shared clock whose times cannot be: its clock is wrong, or it is another stream. */
  #isImplausible(dts: number, track: Track, nowMs: number): boolean {
    if (this.#sourceCount < 2 || this.#lastOutMs === undefined) return false;
    const atMs = (dts / track.timescale) * 1000;
    const passedMs = nowMs - this.#stream.stats.lastSampleMs;
    if (atMs - this.#lastOutMs - passedMs > maxLeadMs) return true;
    return nowMs - this.#beganMs > burstMs && atMs < this.#lastOutMs - maxLagMs;
  }

  /** Places the newcomer's first sample where the stream stopped, plus the time that passed since. */
  #shiftAll(first: Sample, firstTrack: Track, nowMs: number): void {
    this.#needsShift = false;
    this.#isByClock = false;
    const lastOutMs = this.#lastOutMs ?? 0;
    const outageMs = nowMs - this.#stream.stats.lastSampleMs - this.#heldMs;
    const startMs = lastOutMs + Math.max(this.#stepMs(), outageMs);
    this.#shiftMs = startMs - (first.dts / firstTrack.timescale) * 1000;
    for (const [id, progress] of this.#progress) {
      const track = this.#stream.track(id);
      if (track) progress.shift = ticksOf(this.#shiftMs, track);
    }
  }

  /** One frame of the leading track. */
  #stepMs(): number {
    const lead = leadOf(this.#stream.description.tracks);
    const step = (lead && this.#progress.get(lead.id)?.lastStep) ?? 0;
    return lead ? Math.max(1, (step * 1000) / lead.timescale) : 1;
  }

  /** Tells readers. The stream's own epoch stays, whoever feeds it; what a newcomer leaves open stays as it was known. */
  #announce(description: StreamDescription): void {
    const { epochMs, tracks: before } = this.#stream.description;
    const tracks = description.tracks.map((track) => withKnownConfig(track, before));
    const isEpochShared = this.#isShared && this.#isByClock;
    this.#stream.describe({ ...description, tracks, epochMs, isEpochShared }, !haveSameTracks(before, tracks));
  }

  #endOf(track: Track): number | undefined {
    const endMs = this.#endedMs.get(track.id);
    return endMs === undefined ? undefined : ticksOf(endMs, track);
  }

  #noteEnds(): void {
    if (this.#endedMs.size > maxEnds) this.#endedMs.clear();
    for (const [id, { lastDts }] of this.#progress) {
      const timescale = this.#stream.track(id)?.timescale;
      if (lastDts !== undefined && timescale) this.#endedMs.set(id, (lastDts * 1000) / timescale);
    }
  }

  #startAfterLast(id: number, progress: TrackProgress, { tracks }: StreamDescription): void {
    const track = tracks.find((each) => each.id === id);
    if (track && this.#lastOutMs !== undefined) progress.lastDts ??= ticksOf(this.#lastOutMs, track);
  }

  #progressFor({ tracks }: StreamDescription): Map<number, TrackProgress> {
    const progress = new Map<number, TrackProgress>();
    for (const track of tracks) {
      const known = this.#progress.get(track.id);
      const scale = track.timescale / (this.#stream.track(track.id)?.timescale ?? track.timescale);
      progress.set(track.id, {
        shift: ticksOf(this.#shiftMs, track),
        lastDts: known?.lastDts === undefined ? this.#endOf(track) : Math.round(known.lastDts * scale),
        lastStep: Math.round((known?.lastStep ?? 0) * scale),
        lastData: known?.lastData,
        isWaiting: true,
      });
    }
    return progress;
  }
}

function withKnownConfig(track: Track, known: readonly Track[]): Track {
  const { decoderConfig } = known.find(({ id, codec }) => id === track.id && codec === track.codec) ?? {};
  return track.decoderConfig || !decoderConfig ? track : { ...track, decoderConfig };
}

const isOf =
  (track: Track) =>
  ({ trackId }: Sample): boolean =>
    trackId === track.id;

function ticksOf(ms: number, { timescale }: Track): number {
  return Math.round((ms * timescale) / 1000);
}
