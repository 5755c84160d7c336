import { isTsCodec, type TsTrack } from "../mpegts/ts-track.ts";
import { writeTsSegment, type TsTrackSamples } from "../mpegts/ts-segment.ts";
import type { OutputTrack } from "./cmaf-track-of.ts";
import { keepNalOf } from "./keep-nal.ts";
import { isGap, segmentSize, type MediaSegment } from "./media-segment.ts";
import { PreparedFile } from "./reply.ts";
import type { SlicedWork } from "./sliced-work.ts";
import type { StreamOutput } from "./stream-output.ts";
import type { TrackOutput } from "./track-output.ts";
import { serializeTsFileName, type TsVariantName } from "./ts-names.ts";

/** One whole segment of a variant: the segments of its tracks under one number. */
export interface TsSegment {
  readonly msn: number;
  readonly uri: string;
  readonly startMs: number;
  readonly durationMs: number;
  readonly discontinuities: number;
  /** No track has media in it. */
  readonly isGap: boolean;
  /** Of the leading track. */
  readonly key: string;
  /** Bytes of its samples, without what the packets around them take. */
  readonly payload: number;
  /** Bytes, written when first asked for and kept as long as the segment; rejects where they cannot be. */
  readonly file: () => Promise<PreparedFile>;
}

/** How segments are written. */
export interface TsWriting {
  /** Said of segments; `""` for nothing. */
  readonly cacheControl: string;
  /** Shared by all: a segment takes tens of milliseconds, in which nobody else would be answered. */
  readonly work: SlicedWork;
}

/** One video and one audio track, or one of them, in the same files. */
export class TsVariant {
  readonly video: TrackOutput | undefined;
  readonly audio: TrackOutput | undefined;
  readonly #writing: TsWriting;
  readonly #files = new WeakMap<MediaSegment, Promise<PreparedFile>>();

  constructor(video: TrackOutput | undefined, audio: TrackOutput | undefined, writing: TsWriting) {
    this.video = video;
    this.audio = audio;
    this.#writing = writing;
  }

  get #lead(): TrackOutput {
    return (this.video ?? this.audio)!;
  }

  get isEnded(): boolean {
    return this.#lead.isEnded;
  }

  get discontinuitySequence(): number {
    return this.#lead.discontinuitySequence;
  }

  /** As a playlist's CODECS names them. */
  get codecs(): string {
    return [this.video, this.audio].flatMap((track) => track?.codecs ?? []).join(",");
  }

  /** Grows with everything a playlist shows. */
  get version(): number {
    return (this.video?.version ?? 0) + (this.audio?.version ?? 0);
  }

  uri(key: string): string {
    return serializeTsFileName({ kind: "ts-media", ...this.#nameWith(key) });
  }

  /** Listed segments, oldest first, consecutive. The newest is left out until all tracks have it whole. */
  get segments(): readonly TsSegment[] {
    const listed: TsSegment[] = [];
    for (const { msn } of this.#lead.segments) {
      const segment = this.segmentAt(msn);
      if (segment) listed.push(segment);
      // A track that began later leaves the segments before it to other edges.
      else if (listed.length > 0) break;
    }
    return listed;
  }

  /** Listed or not; undefined when a track does not have it, or not whole. */
  segmentAt(msn: number): TsSegment | undefined {
    const own = this.#lead.segmentAt(msn);
    const other = this.video && this.audio ? this.audio.segmentAt(msn) : undefined;
    if (!own?.isComplete || (this.video && this.audio && !other?.isComplete)) return undefined;
    return {
      msn,
      uri: serializeTsFileName({ kind: "ts-segment", ...this.#nameWith(own.key), msn }),
      startMs: own.startMs,
      durationMs: own.durationMs,
      discontinuities: Math.max(own.discontinuities, other?.discontinuities ?? 0),
      isGap: isGap(own) && (!other || isGap(other)),
      key: own.key,
      payload: segmentSize(own) + (other ? segmentSize(other) : 0),
      file: () => this.#fileOf(own, other),
    };
  }

  /** Whether a segment is soon to come under this name: an edge that is ahead lists it already. */
  isToCome(msn: number, key: string): boolean {
    if (this.isEnded || this.#lead.segmentAt(msn)?.key !== key || this.segmentAt(msn)) return false;
    return [this.video, this.audio].some((track) => track?.openSegment?.msn === msn);
  }

  /** What a player gets who asks for a gap. */
  firstAfter(msn: number): TsSegment | undefined {
    return this.segments.find((segment) => segment.msn > msn && !segment.isGap);
  }

  /**
   * Bits per second of the segments listed: of the largest, and of all. Only the newest is written for it, which everybody
   * will ask for: the others have about as much around their samples.
   */
  async measureBitrate(): Promise<{ peak: number; average: number }> {
    const media = this.segments.filter((segment) => !segment.isGap);
    const newest = media.at(-1);
    if (!newest) return this.#expectedBitrate();
    const overhead = (margin * (await newest.file()).size) / Math.max(1, newest.payload);
    const sizes = media.map(({ payload, durationMs }) => ({ bits: payload * overhead * 8_000, durationMs }));
    // One cut short by a late join says little about the stream.
    const whole = sizes.filter(({ durationMs }) => durationMs >= shortMs);
    const peak = Math.max(1, ...(whole.length > 0 ? whole : sizes).map(({ bits, durationMs }) => bits / durationMs));
    const total = sizes.reduce((sum, { bits }) => sum + bits, 0);
    const totalMs = sizes.reduce((sum, { durationMs }) => sum + durationMs, 0);
    return { peak: Math.ceil(peak), average: Math.max(1, Math.ceil(total / Math.max(1, totalMs))) };
  }

  /** Of what there is of the first segment. */
  #expectedBitrate(): { peak: number; average: number } {
    const tracks = [this.video, this.audio].filter((track) => track !== undefined);
    const payload = tracks.reduce((sum, { bitrate }) => sum + bitrate.peak, 0);
    const rate = Math.max(1, Math.ceil(payload * margin));
    return { peak: rate, average: rate };
  }

  #nameWith(key: string): TsVariantName {
    return { videoId: this.video?.trackId, audioId: this.audio?.trackId, key };
  }

  #fileOf(own: MediaSegment, other: MediaSegment | undefined): Promise<PreparedFile> {
    const known = this.#files.get(own);
    if (known) return known;
    const made = this.#write(other ? [own, other] : [own]);
    this.#files.set(own, made);
    return made;
  }

  async #write(segments: readonly MediaSegment[]): Promise<PreparedFile> {
    const { cacheControl, work } = this.#writing;
    return new PreparedFile([await work.do(writeTsSegment(segments.map(samplesOf)))], "video/mp2t", cacheControl);
  }
}

/** Small pictures leave more of their packets empty than large ones. */
const margin = 1.05;
/** Shorter segments are left out of the measured peak. */
const shortMs = 500;

function samplesOf({ track, parts }: MediaSegment): TsTrackSamples {
  return { track: tsTrackOf(track), samples: parts.flatMap(({ samples = [] }) => samples) };
}

function tsTrackOf(track: OutputTrack): TsTrack {
  const { codec, timescale, decoderConfig, sampleRate } = track;
  if (!isTsCodec(codec)) throw new TypeError(`${codec} is never kept for MPEG-TS`);
  const keepNal = keepNalOf(track);
  return { codec, timescale, decoderConfig, sampleRate, ...(keepNal && { keepNal }) };
}

/** The variants of every stream, made once each, so that a segment is written once however many viewers ask. */
export class TsVariants {
  readonly #writing: TsWriting;
  readonly #known = new WeakMap<StreamOutput, Map<string, TsVariant>>();

  constructor(writing: TsWriting) {
    this.#writing = writing;
  }

  of(output: StreamOutput, video: TrackOutput | undefined, audio: TrackOutput | undefined): TsVariant {
    let known = this.#known.get(output);
    if (!known) this.#known.set(output, (known = new Map()));
    const id = `${video?.trackId}-${audio?.trackId}`;
    let variant = known.get(id);
    if (!variant) known.set(id, (variant = new TsVariant(video, audio, this.#writing)));
    return variant;
  }

  /** @returns undefined when the stream has no such tracks */
  named(output: StreamOutput, { videoId, audioId }: TsVariantName): TsVariant | undefined {
    const video = videoId === undefined ? undefined : output.track(videoId);
    const audio = audioId === undefined ? undefined : output.track(audioId);
    const isThere =
      (videoId === undefined || video?.type === "video") && (audioId === undefined || audio?.type === "audio");
    return isThere && (video ?? audio) ? this.of(output, video, audio) : undefined;
  }
}
