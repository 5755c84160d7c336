import type { CloseReason } from "../flow/close-group.ts";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import type { Sample } from "../core/sample.ts";
import type { Stream, StreamDescription, StreamReader } from "../core/stream.ts";
import type { Track } from "../core/track.ts";
import { isDeliverable, outputTrackOf, type Packaging } from "./cmaf-track-of.ts";
import { immutable, type PreparedFile } from "./reply.ts";
import type { RewindDisk } from "./rewind-disk.ts";
import { RewindWindow } from "./rewind-window.ts";
import { SegmentGrid, ticksToMs } from "./segment-grid.ts";
import { FollowCutter, LeadCutter } from "./segmenter.ts";
import { fillerOf } from "./silence-filler.ts";
import { SubtitleOutput, subtitleTrackOf } from "./subtitle-output.ts";
import { TrackOutput } from "./track-output.ts";

export interface StreamOutputOptions {
  readonly segmentMs: number;
  readonly partMs: number;
  readonly segmentCount: number;
  readonly streamKey: string;
  /** Default fragmented MP4. */
  readonly packaging?: Packaging;
  /** Said of caching files, default that they never change; `""` for nothing. */
  readonly segmentCacheControl?: string;
  readonly partCacheControl?: string;
  readonly logger: Logger;
  /** Keeps what leaves the live window, so long. */
  readonly rewind?: { readonly disk: RewindDisk; readonly windowMs: number };
  /** Something that the playlist of this track, or of all, shows has changed. */
  readonly onProgress: (track?: TrackOutput) => void;
}

/** Cells a track may lie behind the others before it counts as silent. Far more than any interleaving. */
const silentCells = 2;

/**
 * Without a sample of the leading track for this long while others go on, it is left out: an announced camera that is
 * off, sound alone on the air. Longer than most groups of pictures, because an origin that remembers nothing has none to
 * show before the next key frame, and whoever was given sound alone hears it for ever. Players wait longer than this for
 * their first answer, and no picture rate is as low.
 */
const silentLeadMs = 6_000;

/** Of discontinuities before one segment: nobody saw a stream break off more often while its origin was away for a moment. */
const mostTags = 16;

/** Whole segments from which on players without low latency find a place to begin. */
export const enoughWhole = 3;

/** One stream as parts and segments. Reads the stream from {@link start} until it ends or {@link stop} is called. */
export class StreamOutput implements StreamReader {
  readonly stream: Stream;
  readonly streamKey: string;
  readonly grid: SegmentGrid;
  readonly #options: StreamOutputOptions;
  readonly #outputs = new Map<number, TrackOutput>();
  /** By track id. They follow the leading track's output. */
  readonly #subtitles = new Map<number, SubtitleOutput>();
  #sorted: readonly TrackOutput[] = [];
  #leads = new Map<number, LeadCutter>();
  #followers = new Map<number, FollowCutter>();
  /** Tracks whose decoder configuration has not been seen yet. */
  #unconfigured = new Set<number>();
  #leadTrackId: number | undefined;
  /** Tracks that were announced and sent nothing; the first key frame of one brings it back. */
  #silent = new Set<number>();
  #hasLeadSent = false;
  /** Stream time of the first sample since the description. */
  #firstMs: number | undefined;
  #removeReader: (() => void) | undefined;
  #ended: CloseReason | undefined;
  #malformed = 0;
  /** Of the source up to now, and what this output added: the sequence number of the segment to come. */
  #discontinuities = 0;
  #isPublished = false;

  constructor(stream: Stream, options: StreamOutputOptions) {
    this.stream = stream;
    this.streamKey = options.streamKey;
    this.#options = options;
    this.grid = new SegmentGrid(options.segmentMs, stream.description);
  }

  /** Tracks with at least one part or segment to come, ascending by id. */
  get tracks(): readonly TrackOutput[] {
    // Asked at every request, and a track that came stays.
    if (this.#sorted.length !== this.#outputs.size + this.#subtitles.size) {
      const subtitles = [...this.#subtitles.values()].map(({ output }) => output);
      this.#sorted = [...this.#outputs.values(), ...subtitles].sort((a, b) => a.trackId - b.trackId);
    }
    return this.#sorted;
  }

  track(id: number): TrackOutput | undefined {
    return this.#outputs.get(id) ?? this.#subtitles.get(id)?.output;
  }

  /** Whether a subtitle track ever had a cue. */
  hasCues(id: number): boolean {
    return this.#subtitles.get(id)?.hasCues ?? false;
  }

  /** A file of any track. */
  file(name: string): PreparedFile | undefined {
    for (const track of this.tracks) {
      const file = track.file(name);
      if (file) return file;
    }
    return undefined;
  }

  get lead(): TrackOutput | undefined {
    return this.#leadTrackId === undefined ? undefined : this.#outputs.get(this.#leadTrackId);
  }

  get ended(): CloseReason | undefined {
    return this.#ended;
  }

  /** False when the stream holds nothing this room can deliver. */
  get isDeliverable(): boolean {
    return this.#outputs.size > 0 || this.#unconfigured.size > 0;
  }

  get #packaging(): Packaging {
    return this.#options.packaging ?? "fmp4";
  }

  /** Samples that could not be put into MP4. */
  get malformed(): number {
    return this.#malformed;
  }

  /**
   * Every track has a whole segment; a track that has none when the leading one has two is silent and not waited for. A
   * key frame just before a cell's end makes a segment of a frame or two, in which no other track can have come.
   */
  get isPlayable(): boolean {
    const lead = this.lead;
    if (lead?.lastCompleteMsn === undefined) return false;
    // Asked at every request.
    let isFirst = true;
    let furtherMs = 0;
    for (const { isComplete, durationMs } of lead.segments) {
      if (!isComplete) continue;
      if (!isFirst) furtherMs += durationMs;
      if (furtherMs >= this.grid.cellMs / 2) return true;
      isFirst = false;
    }
    const sending = this.tracks.filter(({ trackId }) => !this.#silent.has(trackId));
    return sending.every((track) => track.lastCompleteMsn !== undefined);
  }

  /** Whether any track that sends has a part. */
  get hasMedia(): boolean {
    return this.tracks.some((track) => !this.#silent.has(track.trackId) && track.hasMedia);
  }

  /**
   * Whole segments as other edges have them, of the track with the fewest. With {@link enoughWhole} a list looks like
   * theirs, so that their viewers can be taken over.
   */
  get wholeSegments(): number {
    const counts = this.tracks
      .filter(({ trackId }) => !this.#silent.has(trackId))
      .map((track) => track.segments.filter((s) => s.isComplete && s.isCanonical).length);
    return counts.length === 0 ? 0 : Math.min(...counts);
  }

  /** Stream time up to which the leading track is in parts; undefined before the first. */
  get newestMs(): number | undefined {
    const last = this.lead?.segments.at(-1);
    return last && last.startMs + last.durationMs;
  }

  /** Takes what the stream still remembers, then everything new. */
  start(): void {
    this.#discontinuities = this.stream.description.discontinuities ?? 0;
    this.#setUp(this.stream.description, 0);
    const recent = this.stream.samplesToJoin(this.#options.segmentCount * this.#options.segmentMs);
    this.#removeReader = this.stream.addReader(this);
    for (const sample of recent) {
      const track = this.stream.track(sample.trackId);
      if (track) this.onSample(sample, track);
    }
  }

  /**
   * Call before the first playlist. Leaves out the segment joined in its middle where there is a whole one. With
   * enough whole ones, lists what came before them as gaps, so that the list begins where other edges' lists begin: a
   * viewer served by several edges must not see it go back. Players without low latency begin three segments from the
   * end, so they never ask for a gap.
   * @param isForGuest the first playlist is for a viewer who began at another edge, and is past where players begin
   */
  publish(isForGuest = false): void {
    if (this.#isPublished) return;
    this.#isPublished = true;
    const wholes = this.tracks.map((track) => track.segments.filter((s) => s.isComplete && s.isCanonical).length);
    if (wholes.some((count) => count === 0)) return;
    for (const track of this.tracks) track.forgetNonCanonical();
    // Players of whole segments begin three target durations from the end, six segments: among gaps, if there were any.
    if (this.#packaging === "fmp4" && (isForGuest || wholes.every((count) => count >= enoughWhole))) {
      const { beganMs } = this.stream.description;
      // The first segment of all is joined in its middle by whoever has it.
      const firstMsn = beganMs === undefined ? 0 : this.grid.cellAt(beganMs) + 1;
      for (const track of this.tracks) track.prependGaps(this.grid.cellMs, firstMsn);
    }
  }

  /** Forgets what was kept for rewinding. */
  forget(): void {
    for (const output of this.tracks) output.rewind?.close();
  }

  /** Reads no more; what is there stays servable. */
  stop(): void {
    this.#removeReader?.();
    this.#removeReader = undefined;
  }

  onSample(sample: Sample, track: Track): void {
    // Cues may come long before their time: it says nothing of the other tracks.
    if (track.kind === "subtitle") return this.#subtitles.get(track.id)?.push(sample, track);
    // MP4 knows no decoding time before 0; a stream that began there has left it within a second.
    if (sample.dts < 0) return;
    try {
      this.#take(sample, track);
    } catch (thrown) {
      if (this.#malformed++ === 0) this.#options.logger.warn("sample not usable", { error: messageOf(thrown) });
    }
  }

  onDescription(description: StreamDescription, isDiscontinuity: boolean): void {
    const missed = Math.min(mostTags, (description.discontinuities ?? 0) - this.#discontinuities);
    const breaks = isDiscontinuity ? Math.max(1, missed) : 0;
    if (!isDiscontinuity && missed > 0) this.#catchUp(missed);
    if (isDiscontinuity) this.#flush();
    if (isDiscontinuity) this.#silent.clear();
    this.#setUp(description, breaks);
  }

  onEnd(reason: CloseReason): void {
    this.#ended = reason;
    this.stop();
    this.#flush();
    for (const output of this.tracks) output.end();
    this.#options.onProgress();
  }

  #take(sample: Sample, track: Track): void {
    if (this.#silent.has(track.id) && sample.isKeyframe) this.#comeBack(track.id);
    this.#lookForSilence(sample, track);
    if (this.#unconfigured.has(track.id) && sample.isKeyframe) this.#addOutput(track, sample);
    const lead = this.#leads.get(track.id);
    const main = this.#leadTrackId === undefined ? undefined : this.#leads.get(this.#leadTrackId);
    if (lead) lead.push(sample);
    else this.#followers.get(track.id)?.push(sample);
    if (!main) return;
    const silentMs = silentCells * this.grid.cellMs;
    if (main !== lead) main.pass(ticksToMs(sample.dts, track.timescale) - silentMs);
    for (const follower of this.#followers.values()) {
      follower.advance(main.knownUntilMs);
      follower.openUntil(main.knownUntilMs - silentMs);
    }
  }

  #lookForSilence({ dts }: Sample, { id, timescale }: Track): void {
    if (this.#hasLeadSent) return;
    if (id === this.#leadTrackId) {
      this.#hasLeadSent = true;
      return;
    }
    const timeMs = ticksToMs(dts, timescale);
    this.#firstMs ??= timeMs;
    if (timeMs - this.#firstMs > silentLeadMs && this.#leadTrackId !== undefined) this.#leadWithout(this.#leadTrackId);
  }

  /** Others saw the stream break off where this node did not: from the next segment on all count alike. */
  #catchUp(missed: number): void {
    this.#discontinuities += missed;
    // Subtitles break off with what they follow, once there is any.
    const isBegun = this.lead !== undefined && this.lead.segments.length > 0;
    const outputs = isBegun ? this.#outputs.values() : this.tracks;
    for (const output of outputs) output.countBreaks(missed);
  }

  /** Another track leads; what it kept back for the silent one is placed now. */
  #leadWithout(silent: number): void {
    const { description } = this.stream;
    if (usedTracks(description.tracks, this.#packaging).every(({ id }) => id === silent || this.#silent.has(id)))
      return;
    const kept = [...this.#followers].flatMap(([id, follower]) =>
      follower.takeWaiting().map((sample) => [id, sample] as const),
    );
    this.#options.logger.warn("a track sends nothing and is left out", { track: silent });
    this.#silent.add(silent);
    this.#setUp(description, 1);
    for (const [id, sample] of kept) {
      const track = this.stream.track(id);
      if (track) this.#take(sample, track);
    }
  }

  #comeBack(trackId: number): void {
    this.#flush();
    this.#silent.delete(trackId);
    this.#setUp(this.stream.description, 1);
  }

  /** @param breaks discontinuities before what comes; 0 where it goes on */
  #setUp({ tracks }: StreamDescription, breaks: number): void {
    this.#discontinuities += breaks;
    for (const track of tracks) this.#addSubtitles(track);
    const used = usedTracks(tracks, this.#packaging).filter(({ id }) => !this.#silent.has(id));
    if (breaks === 0 && used.every((track) => this.#leads.has(track.id) || this.#followers.has(track.id))) return;
    const lastMsn = Math.max(-1, ...this.tracks.map((track) => track.segments.at(-1)?.msn ?? -1));
    this.#leadTrackId = (used.find((track) => track.kind === "video") ?? used[0])?.id;
    this.#hasLeadSent = false;
    this.#firstMs = undefined;
    this.#leads = new Map();
    this.#followers = new Map();
    this.#unconfigured = new Set();
    for (const track of used) this.#addTrack(track, breaks, lastMsn < 0 ? undefined : lastMsn);
  }

  /** A record from outside may be broken: the track then waits for parameter sets in band. */
  #cmafOf(track: Track): ReturnType<typeof outputTrackOf> {
    try {
      return outputTrackOf(track);
    } catch (thrown) {
      this.#options.logger.warn("decoder configuration not usable", { track: track.id, error: messageOf(thrown) });
      return undefined;
    }
  }

  #addTrack(track: Track, breaks: number, after: number | undefined): void {
    const cmaf = this.#cmafOf(track);
    const known = this.#outputs.get(track.id);
    if (!cmaf) this.#unconfigured.add(track.id);
    else if (known) known.describe(cmaf, breaks);
    else this.#outputs.set(track.id, this.#newOutput(track.id, cmaf));
    if (cmaf) this.#addCutter(track, after);
  }

  #addOutput(track: Track, keyframe: Sample): void {
    const cmaf = outputTrackOf(track, keyframe);
    if (!cmaf) return;
    this.#unconfigured.delete(track.id);
    const known = this.#outputs.get(track.id);
    const after = known?.segments.at(-1)?.msn;
    if (known) known.describe(cmaf, 1);
    else this.#outputs.set(track.id, this.#newOutput(track.id, cmaf));
    this.#addCutter(track, after);
  }

  #addSubtitles(track: Track): void {
    if (track.codec !== "webvtt" || this.#packaging !== "fmp4" || this.#subtitles.has(track.id)) return;
    const output = this.#newOutput(track.id, subtitleTrackOf(track));
    this.#subtitles.set(track.id, new SubtitleOutput(output));
  }

  #newOutput(trackId: number, cmaf: Parameters<TrackOutput["describe"]>[0]): TrackOutput {
    const { partMs, segmentMs, segmentCount, streamKey, onProgress, rewind } = this.#options;
    const { segmentCacheControl = immutable, partCacheControl = immutable } = this.#options;
    const packaging = this.#packaging;
    const caching = { segmentCacheControl, partCacheControl };
    const output: TrackOutput = new TrackOutput(cmaf, {
      trackId,
      streamKey,
      partMs,
      packaging,
      segmentCount,
      // No segment is longer than two cells of the grid.
      leastListedMs: 3_000 * Math.ceil((2 * segmentMs) / 1_000),
      ...caching,
      discontinuitiesBefore: this.#discontinuities,
      ...(rewind && { rewind: this.#newWindow(rewind) }),
      onProgress: () => {
        if (output === this.lead) for (const subtitles of this.#subtitles.values()) subtitles.follow(output);
        onProgress(output);
      },
    });
    return output;
  }

  /** A window is as many cells long as fit into the time: so it begins alike on all edges that have it all. */
  #newWindow({ disk, windowMs }: NonNullable<StreamOutputOptions["rewind"]>): RewindWindow {
    return new RewindWindow({ disk, maxSegments: Math.max(1, Math.floor(windowMs / this.grid.cellMs)) });
  }

  #addCutter(track: Track, after: number | undefined): void {
    const output = this.#outputs.get(track.id)!;
    if (track.kind !== "video" && track.id !== this.#leadTrackId) {
      this.#followers.set(track.id, new FollowCutter(track.timescale, output, fillerOf(track.id, output.track)));
      return;
    }
    const isMain = track.id === this.#leadTrackId;
    const cutter = new LeadCutter(
      this.grid,
      track.timescale,
      output,
      (boundary) => {
        if (isMain) for (const follower of this.#followers.values()) follower.boundary(boundary);
      },
      after,
    );
    this.#leads.set(track.id, cutter);
  }

  #flush(): void {
    for (const lead of this.#leads.values()) lead.end();
    for (const follower of this.#followers.values()) follower.end();
    for (const output of this.#outputs.values()) output.closeSegment();
  }
}

/** All video that can be delivered, and all AAC; where there is no AAC, all Opus (MP4) or MP3 (MPEG-TS). */
function usedTracks(tracks: readonly Track[], packaging: Packaging): Track[] {
  const usable = tracks.filter((track) => isDeliverable(track, packaging));
  const hasAac = usable.some((track) => track.codec === "aac");
  return usable.filter((track) => track.kind === "video" || (track.codec === "aac") === hasAac);
}
