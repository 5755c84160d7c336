import type { CloseReason } from "../flow/close-group.ts";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock } from "../time/clock.ts";
import { RecentSamples } from "./recent-samples.ts";
import type { Sample } from "./sample.ts";
import type { StreamName } from "./stream-name.ts";
import type { Playlist, Track } from "./track.ts";

/** What a stream holds and where it comes from. */
export interface StreamDescription {
  /** Ascending by id. */
  readonly tracks: readonly Track[];
  readonly playlists: readonly Playlist[];
  /** Unix time in milliseconds at which all tracks' timestamps are 0. */
  readonly epochMs: number;
  /** True when the source itself states {@link epochMs}, so that every node agrees on it; false when this node guessed it. */
  readonly isEpochShared: boolean;
  /** Identity of the stream at its first origin; the same on every hop. */
  readonly originId: string;
  /** Node ids from the first origin to the previous hop; a node that finds itself here would pull in a circle. */
  readonly path: readonly string[];
  /**
   * Times that what followed did not continue what came before, since the stream began at its first origin. A node that
   * joins later knows it from its origin, so that all count alike; absent: none that anybody knows of.
   */
  readonly discontinuities?: number;
  /** Stream time of the first sample that a node could give to others: nobody has what came before; absent: nobody says. */
  readonly beganMs?: number;
}

/** Consumes one stream. Called synchronously by the publisher: keep it short, never throw, queue what must wait. */
export interface StreamReader {
  onSample(sample: Sample, track: Track): void;
  /** Tracks changed, or time jumped (`isDiscontinuity`): what follows does not continue what came before. */
  onDescription?(description: StreamDescription, isDiscontinuity: boolean): void;
  onEnd(reason: CloseReason): void;
}

export interface StreamOptions {
  readonly clock: Clock;
  /** At least this much recent media is kept, starting on a key frame, for readers that join. */
  readonly recentMs?: number;
  readonly recentMaxBytes?: number;
  /** What was published before this stream was there, oldest first: it follows another one. */
  readonly recent?: { readonly samples: readonly Sample[]; readonly lastSampleMs: number };
  /** Asks the source for a key frame; called at most once a second and track. */
  readonly requestKeyframe?: (trackId: number) => void;
  /** Is told of readers that throw. */
  readonly logger?: Logger;
}

/**
 * The hearth where protocols meet: one live stream, fed by one source, read by many readers. A slow reader never slows
 * the source or a neighbour, because each reader keeps its own bounded queue behind `onSample`.
 */
export class Stream {
  readonly name: StreamName;
  readonly createdMs: number;
  readonly #clock: Clock;
  readonly #readers = new Set<StreamReader>();
  readonly #requestKeyframe: ((trackId: number) => void) | undefined;
  readonly #logger: Logger | undefined;
  readonly #keyframeAskedMs = new Map<number, number>();
  readonly #recent: RecentSamples;
  #description: StreamDescription;
  #tracks: Map<number, Track>;
  #closed: CloseReason | undefined;
  #lastSampleMs: number;
  #samples = 0;
  #bytes = 0;
  #firstMs: number | undefined;

  constructor(name: StreamName, description: StreamDescription, options: StreamOptions) {
    this.name = name;
    this.#clock = options.clock;
    this.createdMs = options.clock.nowMs();
    this.#lastSampleMs = options.recent?.lastSampleMs ?? this.createdMs;
    this.#requestKeyframe = options.requestKeyframe;
    this.#logger = options.logger;
    this.#description = description;
    this.#tracks = new Map(description.tracks.map((track) => [track.id, track]));
    this.#recent = new RecentSamples(options.recentMs ?? 4_000, options.recentMaxBytes ?? 16 * 1024 * 1024);
    this.#recent.describe(description.tracks);
    for (const sample of options.recent?.samples ?? []) {
      const track = this.#tracks.get(sample.trackId);
      if (!track) continue;
      this.#recent.push(sample, track);
      if (this.#firstMs === undefined) this.#begins(sample, track);
    }
  }

  /** As the source says, or else of what was published here; undefined before the first sample. */
  get beganMs(): number | undefined {
    return this.#description.beganMs ?? this.#firstMs;
  }

  get description(): StreamDescription {
    return this.#description;
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  get closeReason(): CloseReason | undefined {
    return this.#closed;
  }

  /** Counters since the stream began. `lastSampleMs` is on the clock that never jumps. */
  get stats(): { samples: number; bytes: number; lastSampleMs: number } {
    return { samples: this.#samples, bytes: this.#bytes, lastSampleMs: this.#lastSampleMs };
  }

  /** See {@link StreamOptions.recentMs}. */
  get recentMs(): number {
    return this.#recent.keepMs;
  }

  /** Keeps so much recent media from now on. */
  keepRecent(recentMs: number): void {
    this.#recent.keep(recentMs);
  }

  track(id: number): Track | undefined {
    return this.#tracks.get(id);
  }

  /** Hands `sample` to every reader, in this call. Samples of tracks nobody described are dropped. */
  publish(sample: Sample): void {
    if (this.#closed) return;
    const track = this.#tracks.get(sample.trackId);
    if (!track) return;
    this.#samples++;
    if (this.#firstMs === undefined) this.#begins(sample, track);
    this.#bytes += sample.data.length;
    // Cues are no sign that the source is alive: they may come by the API.
    if (track.kind !== "subtitle") this.#lastSampleMs = this.#clock.nowMs();
    this.#recent.push(sample, track);
    for (const reader of this.#readers) {
      try {
        reader.onSample(sample, track);
      } catch (thrown) {
        this.#dismiss(reader, thrown);
      }
    }
  }

  /** Replaces the description; with `isDiscontinuity`, recent samples are forgotten since they no longer join up. */
  describe(description: StreamDescription, isDiscontinuity: boolean): void {
    if (this.#closed) return;
    this.#description = this.#counted(description, isDiscontinuity);
    this.#tracks = new Map(description.tracks.map((track) => [track.id, track]));
    if (isDiscontinuity) this.#recent.clear();
    this.#recent.describe(description.tracks);
    for (const reader of this.#readers) {
      try {
        reader.onDescription?.(this.#description, isDiscontinuity);
      } catch (thrown) {
        this.#dismiss(reader, thrown);
      }
    }
  }

  /** Cues may come long before what they are shown with. */
  #begins({ dts }: Sample, { kind, timescale }: Track): void {
    if (kind === "video" || kind === "audio") this.#firstMs = (dts / timescale) * 1000;
  }

  /** A source that replaced another has a count of its own; where nothing breaks off, the one known here goes on. */
  #counted(description: StreamDescription, isDiscontinuity: boolean): StreamDescription {
    const known = this.#description.discontinuities ?? 0;
    const { discontinuities: stated = 0, originId } = description;
    // The same origin that knows of more: nobody here saw them, and others did.
    const isSameOrigin = originId === this.#description.originId;
    const unbroken = isSameOrigin ? Math.max(known, stated) : known;
    const discontinuities = isDiscontinuity ? Math.max(known + 1, stated) : unbroken;
    const beganMs = this.#description.beganMs ?? description.beganMs;
    return { ...description, discontinuities, ...(beganMs !== undefined && { beganMs }) };
  }

  /** A reader that throws is our bug: it ends, the source and its neighbours go on. */
  #dismiss(reader: StreamReader, thrown: unknown): void {
    this.#readers.delete(reader);
    this.#logFailure(thrown);
    this.#tellEnd(reader, { code: "reader-failed", message: messageOf(thrown) });
  }

  #tellEnd(reader: StreamReader, reason: CloseReason): void {
    try {
      reader.onEnd(reason);
    } catch (thrown) {
      this.#logFailure(thrown);
    }
  }

  #logFailure(thrown: unknown): void {
    this.#logger?.error("a reader of the stream failed", { error: messageOf(thrown) });
  }

  /**
   * Adds a reader for what is published from now on; take {@link recentSamples} in the same turn for what came before.
   * @returns removes the reader; may be called twice
   */
  addReader(reader: StreamReader): () => void {
    if (this.#closed) {
      reader.onEnd(this.#closed);
      return () => {};
    }
    this.#readers.add(reader);
    return () => void this.#readers.delete(reader);
  }

  /**
   * Recent samples of all tracks in the order they were published, from a video key frame on (audio-only: from any
   * frame), covering at least `atLeastMs` where so much is kept; 0 = from the last key frame.
   */
  recentSamples(atLeastMs = 0): readonly Sample[] {
    return this.#recent.since(atLeastMs);
  }

  /** What a reader of every sample takes before those that follow: recent samples, and cues of which nothing has been seen yet. */
  samplesToJoin(atLeastMs: number): readonly Sample[] {
    return this.#recent.toJoin(atLeastMs);
  }

  /** Passes a viewer's wish for a key frame to the source, at most once a second and track. */
  requestKeyframe(trackId: number): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - (this.#keyframeAskedMs.get(trackId) ?? Number.NEGATIVE_INFINITY) < 1_000) return;
    this.#keyframeAskedMs.set(trackId, nowMs);
    this.#requestKeyframe?.(trackId);
  }

  /** Ends the stream for every reader. Later calls do nothing. */
  close(reason: CloseReason): void {
    if (this.#closed) return;
    this.#closed = reason;
    const readers = [...this.#readers];
    this.#readers.clear();
    this.#recent.clear();
    for (const reader of readers) this.#tellEnd(reader, reason);
  }
}
