import type { AdmitViewer } from "../core/guest.ts";
import { streamKey } from "../core/stream-name.ts";
import type { Stream } from "../core/stream.ts";
import type { StreamHold, StreamHub } from "../core/stream-hub.ts";
import type { CloseReason } from "../flow/close-group.ts";
import type { Histogram } from "../flow/histogram.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock } from "../time/clock.ts";
import type { WebRtcConfig } from "./config.ts";
import type { MediaPort } from "./media-port.ts";
import { watchFirstMedia } from "./first-media.ts";
import type { JoinQueue } from "./join-queue.ts";
import { playableTracksOf, type PlayableTracks } from "./playable-tracks.ts";
import { randomToken, type RandomBytes } from "./random.ts";
import { playablePlaylistOf, type PlayablePlaylist } from "./renditions.ts";
import { mergedStats, StreamCounters, type StreamStats } from "./stream-counters.ts";
import { StreamFanOut } from "./stream-fan-out.ts";
import type { ViewerMoments, ViewerPlace } from "./viewer-place.ts";
import { ViewerSession } from "./viewer-session.ts";
import type { WorkerPool } from "./workers/worker-pool.ts";

/** How long viewers waited, from their offer on: until they were connected, and until the first media had left. */
export interface ViewerTimes {
  readonly join: Histogram;
  readonly firstMedia: Histogram;
}

/** What all parts of the room share. */
export interface RoomOptions {
  readonly hub: Pick<StreamHub, "acquire">;
  /** Of this thread; undefined where `workers` take every viewer. */
  readonly port: MediaPort | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: RandomBytes;
  readonly config: WebRtcConfig;
  readonly times?: ViewerTimes | undefined;
  /** Runs a function in a later turn of the event loop: `setImmediate`. */
  readonly defer: (run: () => void) => void;
  /** Threads that take viewers beside this one; the caller closes it. */
  readonly workers?: WorkerPool | undefined;
}

/** What those who take viewers in share besides. */
export interface DoorOptions extends RoomOptions {
  readonly admit: AdmitViewer;
  /** Where viewers wait for their turn. */
  readonly joins: JoinQueue;
}

interface StreamEntry {
  readonly fanOut: StreamFanOut;
  readonly counters: StreamCounters;
  sessions: number;
}

/** All sessions of the node, and the one fan-out each of their streams has. */
export class SessionTable {
  readonly #options: RoomOptions;
  readonly #sessions = new Set<ViewerPlace>();
  readonly #streams = new Map<Stream, StreamEntry>();
  readonly #explained = new WeakSet<Stream>();
  readonly #ended: Record<string, number> = {};
  #opened = 0;
  /** Viewers in other threads, by the name of their stream. */
  readonly #elsewhere = new Map<string, number>();
  #isDraining = false;

  constructor(options: RoomOptions) {
    this.#options = options;
  }

  /** Why a new viewer cannot be taken now; undefined when it can. */
  get refusal(): "draining" | "full" | undefined {
    if (this.#isDraining) return "draining";
    return this.#sessions.size >= this.#options.config.maxSessions ? "full" : undefined;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** Those that are open now. */
  get sessions(): readonly ViewerPlace[] {
    return [...this.#sessions];
  }

  get stats(): { readonly opened: number; readonly ended: Readonly<Record<string, number>> } {
    return { opened: this.#opened, ended: this.#ended };
  }

  /** Figures of every stream that has viewers, by `vhost/app/stream`. */
  get streams(): Record<string, StreamStats> {
    const streams: Record<string, StreamStats> = {};
    const add = (name: string, stats: StreamStats): void => {
      const known = streams[name];
      streams[name] = known ? mergedStats(known, stats) : stats;
    };
    for (const [stream, { counters }] of this.#streams) add(streamKey(stream.name), counters.stats);
    // Several tables share the workers; a stream belongs to the one that placed its viewers.
    for (const [name, stats] of this.#options.workers?.streamStats() ?? [])
      if (this.#elsewhere.has(name)) add(name, stats);
    return streams;
  }

  /** From now on nobody new is taken. */
  drain(): void {
    this.#isDraining = true;
  }

  /** The playlist a viewer may have of `stream`. Says once a stream in the log what is withheld and why. */
  playlistOf(stream: Stream, fileName: string): PlayablePlaylist | { readonly refusal: string } {
    const playable = playableTracksOf(stream);
    this.#explain(stream, playable);
    const playlist = playablePlaylistOf(stream, fileName, playable, this.#options.config);
    if (playlist) return playlist;
    const reason = playable.withheld[0]?.reason;
    return { refusal: reason ?? `there is no playlist "${fileName.slice(0, 64)}"` };
  }

  /** Whether {@link open} finds a thread that serves. */
  get hasPlace(): boolean {
    const { port, workers } = this.#options;
    return port !== undefined || (workers?.isServing ?? false);
  }

  /** To be waited for before {@link open}, and called as soon as a viewer is on its way; undefined when nothing is. */
  prepare(): Promise<void> | undefined {
    return this.#options.workers?.prepare();
  }

  /** Opens a place for one viewer, while there is one ({@link hasPlace}); the session owns `hold` from here on. */
  open(hold: StreamHold, logger: Logger, address: string, onEnd: (reason: CloseReason) => void): ViewerPlace {
    this.#opened++;
    const left = (viewer: ViewerPlace, reason: CloseReason): void => {
      this.#sessions.delete(viewer);
      this.#ended[reason.code] = (this.#ended[reason.code] ?? 0) + 1;
      onEnd(reason);
    };
    const { workers } = this.#options;
    const sinceMs = this.#options.clock.nowMs();
    const moments = this.#moments(sinceMs);
    const elsewhere: ViewerPlace | undefined = workers?.place(hold, this.#options.config, logger, {
      ...moments,
      onEnd: (reason) => {
        this.#countElsewhere(hold.stream, -1);
        left(elsewhere!, reason);
      },
    });
    if (elsewhere) this.#countElsewhere(hold.stream, 1);
    const viewer = elsewhere ?? this.#openHere(hold, logger, moments, left);
    this.#sessions.add(viewer);
    const id = randomToken(this.#options.random, 12);
    hold.sentBytes = () => viewer.sentBytes;
    hold.holders = () => [{ id, address, sinceMs, end: (reason) => viewer.close(reason) }];
    return viewer;
  }

  #countElsewhere({ name }: Stream, change: 1 | -1): void {
    const key = streamKey(name);
    const viewers = (this.#elsewhere.get(key) ?? 0) + change;
    if (viewers > 0) this.#elsewhere.set(key, viewers);
    else this.#elsewhere.delete(key);
  }

  #moments(sinceMs: number): ViewerMoments {
    const { times, clock } = this.#options;
    const seconds = (): number => (clock.nowMs() - sinceMs) / 1_000;
    return {
      onConnected: () => times?.join.observe(seconds()),
      onFirstMedia: () => times?.firstMedia.observe(seconds()),
    };
  }

  #openHere(
    hold: StreamHold,
    logger: Logger,
    { onConnected, onFirstMedia }: ViewerMoments,
    left: (viewer: ViewerPlace, reason: CloseReason) => void,
  ): ViewerPlace {
    const { port, workers } = this.#options;
    if (!port) {
      hold.release();
      throw new Error("no thread serves WebRTC");
    }
    const entry = this.#entry(hold.stream, port);
    entry.sessions++;
    if (workers) workers.localViewers++;
    const leave = (): void => {
      if (workers) workers.localViewers--;
      if (--entry.sessions === 0) this.#streams.delete(hold.stream);
    };
    try {
      const { fanOut, counters } = entry;
      let stopWatching = (): void => {};
      const session: ViewerSession = new ViewerSession({
        ...this.#options,
        port,
        hold,
        logger,
        fanOut,
        counters,
        onConnected,
        onEnd: (reason) => {
          stopWatching();
          leave();
          left(session, reason);
        },
      });
      stopWatching = watchFirstMedia(this.#options.clock, session, onFirstMedia);
      return session;
    } catch (thrown) {
      leave();
      hold.release();
      throw thrown;
    }
  }

  close(reason: CloseReason): void {
    this.drain();
    for (const session of this.#sessions) session.close(reason);
  }

  #entry(stream: Stream, port: MediaPort): StreamEntry {
    const known = this.#streams.get(stream);
    if (known) return known;
    const fanOut = new StreamFanOut(stream, { ...this.#options, port });
    const entry = { fanOut, counters: new StreamCounters(), sessions: 0 };
    this.#streams.set(stream, entry);
    return entry;
  }

  #explain(stream: Stream, { video, audio, withheld }: PlayableTracks): void {
    if (this.#explained.has(stream) || withheld.length === 0) return;
    this.#explained.add(stream);
    const { app, stream: name } = stream.name;
    for (const { track, reason } of withheld) {
      const lacks = track.kind === "audio" ? audio.length === 0 : video.length === 0;
      const effect = lacks ? `viewers get no ${track.kind}` : "another track is played instead";
      this.#options.logger.warn("track withheld from WebRTC", { app, stream: name, track: track.id, reason, effect });
    }
  }
}
