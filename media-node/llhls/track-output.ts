import { serializeFragment, type FragmentSample } from "../cmaf/fragment.ts";
import { withoutDelimiter } from "../codecs/av1.ts";
import { serializeInitSegment } from "../cmaf/init-segment.ts";
import type { Sample } from "../core/sample.ts";
import { codecsOf, isCmafTrack, type OutputTrack, type Packaging } from "./cmaf-track-of.ts";
import { keepNalOf, syncHeadOf } from "./keep-nal.ts";
import { isGap, segmentSize, type MediaSegment, type Part } from "./media-segment.ts";
import { serializeFileName, type FileTrackType } from "./names.ts";
import { PreparedFile } from "./reply.ts";
import type { RewindWindow } from "./rewind-window.ts";
import { shortHash } from "./short-hash.ts";
import { ticksToMs } from "./segment-grid.ts";
import type { SegmentSink } from "./segmenter.ts";

export interface TrackOutputOptions {
  /** Of the source. */
  readonly trackId: number;
  readonly streamKey: string;
  readonly partMs: number;
  /** For MPEG-TS samples are kept and nothing is written: whoever asks for a segment has it made. */
  readonly packaging: Packaging;
  /** Complete segments listed. */
  readonly segmentCount: number;
  /** A list is not made shorter than this: three target durations (RFC 8216 §6.2.2). */
  readonly leastListedMs: number;
  /** Said of caching; `""` for nothing. */
  readonly segmentCacheControl: string;
  readonly partCacheControl: string;
  /** Discontinuities of the source before the first segment: all edges count from the same beginning. */
  readonly discontinuitiesBefore: number;
  /** Keeps whole segments when they have left the list. */
  readonly rewind?: RewindWindow;
  /** Called after every part and every segment end: playlists that wait may now be ready. */
  readonly onProgress: () => void;
}

/** Another edge may be ahead by so much, with the same source behind it: what it lists is waited for here. */
const edgeLagMs = 1_000;
/** Segments that stay servable after they left the playlist, for players that read an older one. */
const keptAfterwards = 3;
/**
 * Parts may be this much longer than configured, so that the nearest whole number of frames fits: 6 frames of 29.97 Hz
 * take 200.2 ms, and 5 would be less than the 85 % that every part must fill.
 */
const tolerance = 1.05;
/** A part is also closed early when it is this full and one more sample would overfill it. */
const fullEnough = 0.85;
/** Parts of one segment have fragment numbers of their own; more parts than this only repeat numbers. */
const sequencesPerSegment = 256;

/** PART-TARGET for parts configured to last `partMs`. */
export function partTargetMs(partMs: number): number {
  return partMs * tolerance;
}

/** Turns one track's samples into parts and segments, and keeps the window that is served. */
export class TrackOutput implements SegmentSink {
  readonly trackId: number;
  readonly type: FileTrackType;
  readonly playlistUri: string;
  /** No part is longer: a playlist's PART-TARGET. */
  readonly partTargetMs: number;
  readonly segmentCount: number;
  readonly rewind: RewindWindow | undefined;
  readonly #options: TrackOutputOptions;
  readonly #files = new Map<string, PreparedFile>();
  #track: OutputTrack;
  #codecs: string;
  #initUri: string;
  #keepNal: ReturnType<typeof keepNalOf>;
  #syncHead: Uint8Array | undefined;
  #segments: MediaSegment[] = [];
  /** Discontinuities since the last segment began. */
  #breaks = 0;
  #discontinuitiesGone: number;
  #pending: FragmentSample[] = [];
  #pendingTicks = 0;
  #peakBitrate = 0;
  #totalBytes = 0;
  #totalMs = 0;
  #isEnded = false;
  #version = 0;

  constructor(track: OutputTrack, options: TrackOutputOptions) {
    this.trackId = options.trackId;
    this.type = track.kind;
    this.partTargetMs = partTargetMs(options.partMs);
    this.segmentCount = options.segmentCount;
    this.rewind = options.rewind;
    this.#options = options;
    this.#discontinuitiesGone = options.discontinuitiesBefore;
    this.playlistUri = serializeFileName({ kind: "media", ...this.#nameParts() });
    this.#track = track;
    this.#codecs = codecsOf(track);
    this.#keepNal = keepNalOf(track);
    this.#syncHead = syncHeadOf(track);
    this.#initUri = this.#addInit();
  }

  get track(): OutputTrack {
    return this.#track;
  }

  /** As a playlist's CODECS names it. */
  get codecs(): string {
    return this.#codecs;
  }

  /** Listed segments, oldest first; the last one may be open. */
  get segments(): readonly MediaSegment[] {
    return this.#segments.slice(this.#firstListed());
  }

  /** Discontinuities before the first listed segment. */
  get discontinuitySequence(): number {
    const gone = this.#firstListed();
    let count = this.#discontinuitiesGone;
    for (let i = 0; i < gone; i++) count += this.#segments[i]!.discontinuities;
    return count;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Grows with everything a playlist shows. */
  get version(): number {
    return this.#version;
  }

  /** Bits per second: of the largest segment, and of all; before the first one is whole, of what there is of it. */
  get bitrate(): { peak: number; average: number } {
    const open = this.#totalMs === 0 ? this.openSegment : undefined;
    if (open && open.durationMs > 0) {
      const rate = Math.ceil((segmentSize(open) * 8000) / open.durationMs);
      return { peak: rate, average: rate };
    }
    return {
      peak: Math.ceil(this.#peakBitrate),
      average: this.#totalMs > 0 ? Math.ceil((this.#totalBytes * 8000) / this.#totalMs) : 0,
    };
  }

  /** Whether there is anything to play. */
  get hasMedia(): boolean {
    return this.#segments.some(({ parts }) => parts.length > 0);
  }

  /** Asked by every held request after every part, so it looks at two segments only: no other than the last is open. */
  get lastCompleteMsn(): number | undefined {
    const last = this.#segments.at(-1);
    return last && !last.isComplete ? this.#segments.at(-2)?.msn : last?.msn;
  }

  /**
   * The newest segment that lists with parts name as a whole: not before the one after it has a part, so that the last part of a
   * segment is listed once before the segment is. hls.js takes a segment for loaded that ends up to 0.2 s after what it has
   * of it, if it learns that the segment is whole while it still takes in the part before the last one, and then stands still.
   */
  get lastListedMsn(): number | undefined {
    return this.#isLastWithheld ? this.#segments.at(-3)?.msn : this.lastCompleteMsn;
  }

  /** A segment that is still served, listed or not. */
  segmentAt(msn: number): MediaSegment | undefined {
    const first = this.#segments[0];
    return first && this.#segments[msn - first.msn];
  }

  get openSegment(): MediaSegment | undefined {
    const last = this.#segments.at(-1);
    return last && !last.isComplete ? last : undefined;
  }

  /** Undefined when there is none of this name now. */
  file(name: string): PreparedFile | undefined {
    return this.#files.get(name);
  }

  /** Bytes held for serving. */
  get heldBytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segmentSize(segment), 0);
  }

  /** @param breaks how often what follows does not continue what came before; `track` describes it */
  describe(track: OutputTrack, breaks: number): void {
    this.#track = track;
    this.#codecs = codecsOf(track);
    this.#keepNal = keepNalOf(track);
    this.#syncHead = syncHeadOf(track);
    this.#initUri = this.#addInit();
    this.countBreaks(breaks);
  }

  /** The source broke off more often than was known here; nothing that is described changes. */
  countBreaks(missed: number): void {
    if (this.#segments.length > 0) this.#breaks += missed;
    else this.#discontinuitiesGone += missed;
  }

  open(msn: number, startMs: number, isCanonical: boolean): void {
    this.closeSegment(startMs);
    const last = this.#segments.at(-1);
    if (last && msn <= last.msn) return;
    // Numbers in a list are consecutive: after a leap the list starts anew.
    if (last && msn > last.msn + 1) while (this.#segments.length > 0) this.#dropOldest();
    const key = this.#keyOf(isCanonical, startMs);
    this.#segments.push({
      msn,
      key,
      startMs,
      durationMs: 0,
      track: this.#track,
      uri: serializeFileName({ kind: "segment", ...this.#nameParts(), msn, key }),
      initUri: this.#initUri,
      discontinuities: this.#breaks,
      isCanonical,
      parts: [],
      isComplete: false,
    });
    this.#breaks = 0;
    while (this.#segments.length > this.segmentCount + 1 + keptAfterwards) this.#dropOldest();
    this.#progress();
  }

  add(sample: Sample, durationTicks: number): void {
    const { timescale } = this.#track;
    const wantedTicks = (this.#options.partMs * timescale) / 1000;
    const maxTicks = (this.partTargetMs * timescale) / 1000;
    const before = this.#pending.at(-1);
    // A fragment has no holes: times inside it are sums of durations.
    const isHole = before !== undefined && before.dts + before.duration !== sample.dts;
    if (isHole || (before && this.#pendingTicks + durationTicks > maxTicks)) this.#closePart();
    this.#pending.push({
      data: this.#track.codec === "av1" ? withoutDelimiter(sample.data) : sample.data,
      pts: sample.pts,
      dts: sample.dts,
      duration: durationTicks,
      isSync: sample.isKeyframe,
    });
    this.#pendingTicks += durationTicks;
    const isFull = this.#pendingTicks >= wantedTicks;
    const isNearlyFull = this.#pendingTicks >= maxTicks * fullEnough;
    if (isFull || (isNearlyFull && this.#pendingTicks + durationTicks > maxTicks)) this.#closePart();
  }

  /** Adds a part of the open segment that was written elsewhere; it begins where the one before ends. */
  addWritten(bytes: Uint8Array, durationMs: number): void {
    const segment = this.openSegment;
    if (!segment) return;
    const uri = this.#partUri(segment.msn, segment.parts.length, segment.key);
    const file = this.#fileOf([bytes], this.#options.partCacheControl);
    segment.parts.push({ uri, file, durationMs, isIndependent: true });
    segment.durationMs += durationMs;
    this.#files.set(uri, file);
    this.#progress();
  }

  /**
   * Completes the open segment: what comes next opens another.
   * @param written its bytes where they are not those of its parts
   */
  closeSegment(nextStartMs?: number, written?: Uint8Array): void {
    this.#closePart();
    const segment = this.openSegment;
    if (!segment) return;
    segment.isComplete = true;
    if (isGap(segment)) segment.durationMs = Math.max(1, (nextStartMs ?? segment.startMs) - segment.startMs);
    else this.#measure(segment);
    if (!this.#isKeeping) {
      const file = this.#fileOf(written ? [written] : segment.parts.flatMap(({ file: { pieces } }) => pieces));
      this.#files.set(segment.uri, file);
      this.rewind?.keep(segment, file, this.#files.get(segment.initUri));
    }
    this.#progress();
  }

  /** Nothing follows: completes the open segment and the list. */
  end(): void {
    this.closeSegment();
    this.#isEnded = true;
    this.#progress();
  }

  /** Takes segments joined in their middle off the list, once there are others. */
  forgetNonCanonical(): void {
    while (this.#segments.length > 1 && !this.#segments[0]!.isCanonical) this.#dropOldest();
    this.#progress();
  }

  /**
   * Fills the list up at its front with segments that this edge never had, each taken to last `cellMs`.
   * @param firstMsn before which nobody has any
   */
  prependGaps(cellMs: number, firstMsn: number): void {
    while (this.#segments.length > 0 && this.#segments.length < this.#listedCount()) {
      const { msn, startMs, initUri, track } = this.#segments[0]!;
      // Other edges list nothing before a stream's beginning, and numbers are not negative.
      if (msn <= Math.max(0, firstMsn)) break;
      const key = this.#keyOf(true, 0);
      const uri = serializeFileName({ kind: "segment", ...this.#nameParts(), msn: msn - 1, key });
      const gap = { msn: msn - 1, key, uri, startMs: startMs - cellMs, durationMs: cellMs, track, initUri, parts: [] };
      this.#segments.unshift({ ...gap, discontinuities: 0, isCanonical: true, isComplete: true });
    }
    this.#progress();
  }

  /** Name of the part that comes next: a guess at the end of a segment, see {@link resolvePart}. */
  nextPartUri(): string | undefined {
    const last = this.#segments.at(-1);
    if (!last || this.#isEnded) return undefined;
    return last.isComplete
      ? this.#partUri(last.msn + 1, 0, this.#keyOf(true, 0))
      : this.#partUri(last.msn, last.parts.length, last.key);
  }

  /**
   * A hint at the end of a segment may name a part that never comes; it stands for the first part of the next segment.
   * @returns the part, `"later"` when it is soon to come (an edge that is ahead may have listed it), undefined when it is
   *   none of these
   */
  resolvePart(msn: number, index: number, key: string): Part | "later" | undefined {
    const last = this.#segments.at(-1);
    if (!last) return undefined;
    const aheadParts = this.#isEnded ? -1 : Math.ceil(edgeLagMs / this.partTargetMs);
    const segment = this.segmentAt(msn);
    if (segment && key !== segment.key) return undefined;
    if (segment && index < segment.parts.length) return segment.parts[index];
    if (segment && !segment.isComplete) return index <= segment.parts.length + aheadParts ? "later" : undefined;
    if (segment && index > segment.parts.length) return undefined;
    const follower = segment ? msn + 1 : msn;
    if (!segment && (index > Math.max(0, aheadParts) || key !== this.#keyOf(true, 0))) return undefined;
    const next = this.segmentAt(follower);
    if (next) return next.parts[0] ?? (next.isComplete ? undefined : "later");
    return follower === last.msn + 1 && !this.#isEnded ? "later" : undefined;
  }

  /** Whether a whole segment is soon to come under this name: an edge that is ahead lists it already. */
  isSegmentToCome(msn: number, key: string): boolean {
    const segment = this.openSegment;
    return segment?.msn === msn && segment.key === key && !this.#isEnded;
  }

  /** What a player gets who asks for a gap: Chromium's own looks into the first segment of a list, whatever it is. */
  #firstAfter({ msn }: MediaSegment): MediaSegment | undefined {
    return this.#segments.find((segment) => segment.msn > msn && segment.isComplete && !isGap(segment));
  }

  /**
   * Another edge joined segment `msn` in its middle and named what it has of it by when that began. Here is all of it:
   * which of our files holds the same pictures, and more before them.
   * @param part counts from where the other edge joined; undefined for the segment
   * @returns the file's name, of a later segment for one without media; undefined when there is none to lead to
   */
  canonicalOf(msn: number, part: number | undefined, key: string): string | undefined {
    const segment = this.segmentAt(msn);
    const mark = key.slice(this.#options.streamKey.length + 1);
    if (part === undefined && mark === "" && segment && isGap(segment)) return this.#firstAfter(segment)?.uri;
    if (mark === "" || !segment?.isCanonical) return undefined;
    if (part === undefined) return segment.isComplete && !isGap(segment) ? segment.uri : undefined;
    const { parts } = segment;
    let endMs = segment.startMs;
    const wantedMs = parseInt(mark, 36) + part * (parts[0]?.durationMs ?? 0);
    return parts.find(({ durationMs }) => (endMs += durationMs) > wantedMs + 1)?.uri;
  }

  /**
   * A segment joined in its middle leaves the list early, as soon as enough stands without it: other edges have all of it
   * under another name, and a player that goes there must not find two names for one number.
   */
  #firstListed(): number {
    const first = Math.max(0, this.#segments.length - this.#listedCount());
    if (this.#segments[first]?.isCanonical !== false) return first;
    let ms = 0;
    for (let at = first + 1; at < this.#segments.length; at++) {
      const { isComplete, durationMs } = this.#segments[at]!;
      if (isComplete) ms += durationMs;
      if (ms >= this.#options.leastListedMs) return first + 1;
    }
    return first;
  }

  #listedCount(): number {
    return this.segmentCount + (this.openSegment ? 1 : 0) + (this.#isLastWithheld ? 1 : 0);
  }

  /** Never the first one: players want a list with a whole segment. */
  get #isLastWithheld(): boolean {
    const last = this.#segments.at(-1);
    const before = this.#segments.at(-2);
    const isBetween = last !== undefined && !last.isComplete && last.parts.length === 0;
    return isBetween && before !== undefined && !isGap(before) && this.#segments.length > 2 && !this.#isKeeping;
  }

  #closePart(): void {
    const segment = this.openSegment;
    const samples = this.#pending;
    const durationMs = (this.#pendingTicks * 1000) / this.#track.timescale;
    // Emptied first: samples that cannot be written are lost, not tried again with every one that follows.
    this.#pending = [];
    this.#pendingTicks = 0;
    if (samples.length === 0 || !segment) return;
    const first = samples[0]!;
    const index = segment.parts.length;
    if (index === 0) {
      segment.startMs = ticksToMs(this.type === "video" ? first.pts : first.dts, this.#track.timescale);
    }
    const uri = this.#partUri(segment.msn, index, segment.key);
    const pieces = this.#isKeeping ? samples.map(({ data }) => data) : [this.#fragmentOf(segment, samples)];
    const file = this.#fileOf(pieces, this.#options.partCacheControl);
    const isIndependent = first.isSync;
    const part: Part = { uri, file, durationMs, isIndependent, ...(this.#isKeeping && { samples }) };
    segment.parts.push(part);
    segment.durationMs += durationMs;
    if (!this.#isKeeping) this.#files.set(uri, file);
    this.#progress();
  }

  #fragmentOf({ msn, parts }: MediaSegment, samples: readonly FragmentSample[]): Uint8Array {
    return serializeFragment(samples, {
      sequence: (msn * sequencesPerSegment + parts.length + 1) % 2 ** 32,
      isVideo: this.type === "video",
      baseTime: samples[0]!.dts,
      ...(this.#keepNal && { keepNal: this.#keepNal }),
      ...(this.#syncHead && { syncHead: this.#syncHead }),
    });
  }

  #measure(segment: MediaSegment): void {
    const size = segmentSize(segment);
    this.#totalBytes += size;
    this.#totalMs += segment.durationMs;
    // A segment cut short by a late join says little about the stream.
    if (segment.durationMs >= this.partTargetMs) {
      this.#peakBitrate = Math.max(this.#peakBitrate, (size * 8000) / segment.durationMs);
    }
  }

  #dropOldest(): void {
    const dropped = this.#segments.shift();
    if (!dropped) return;
    this.#discontinuitiesGone += dropped.discontinuities;
    this.#files.delete(dropped.uri);
    for (const part of dropped.parts) this.#files.delete(part.uri);
    const isInitUsed =
      dropped.initUri === this.#initUri || this.#segments.some(({ initUri }) => initUri === dropped.initUri);
    if (!isInitUsed) this.#files.delete(dropped.initUri);
  }

  get #isKeeping(): boolean {
    return this.#options.packaging === "mpegts";
  }

  #addInit(): string {
    // A transport stream describes itself.
    if (this.#isKeeping || !isCmafTrack(this.#track)) return "";
    const init = serializeInitSegment(this.#track);
    const { trackId, type, key } = this.#nameParts();
    // Named by its content: an edge that never saw what came before a change knows it under the same name.
    const uri = serializeFileName({ kind: "init", trackId, type, key: `${key}-${shortHash(init)}` });
    this.#files.set(uri, this.#fileOf([init]));
    return uri;
  }

  #fileOf(pieces: readonly Uint8Array[], cacheControl = this.#options.segmentCacheControl): PreparedFile {
    return new PreparedFile(pieces, this.type === "subtitle" ? "text/vtt" : `${this.type}/mp4`, cacheControl);
  }

  #nameParts(): { trackId: number; type: FileTrackType; key: string } {
    return { trackId: this.trackId, type: this.type, key: this.#options.streamKey };
  }

  #keyOf(isCanonical: boolean, startMs: number): string {
    const { streamKey } = this.#options;
    return isCanonical ? streamKey : `${streamKey}-${Math.floor(Math.abs(startMs)).toString(36)}`;
  }

  #partUri(msn: number, part: number, key: string): string {
    return serializeFileName({ kind: "part", trackId: this.trackId, type: this.type, msn, part, key });
  }

  #progress(): void {
    this.#version++;
    this.#options.onProgress();
  }
}
