import type { StreamName } from "../core/stream-name.ts";
import { streamKey as nameOf } from "../core/stream-name.ts";
import type { StreamHold, StreamHub, StreamRequest } from "../core/stream-hub.ts";
import type { Logger } from "../flow/logger.ts";
import { every, type Clock, type Timer } from "../time/clock.ts";
import type { Packaging } from "./cmaf-track-of.ts";
import type { RewindDisk } from "./rewind-disk.ts";
import { streamFileKey } from "./stream-key.ts";
import { StreamOutput } from "./stream-output.ts";
import { TakingIn } from "./taking-in.ts";
import type { TrackOutput } from "./track-output.ts";
import { Viewers } from "./viewers.ts";

/** A stream this node delivers now, or did until a moment ago. */
export interface LiveStream {
  readonly name: StreamName;
  readonly output: StreamOutput;
  readonly viewers: Viewers;
  readonly hold: StreamHold;
  /** When this node began to have it. */
  readonly beganMs: number;
  /** False while what its origin remembers is on its way: the first list this node shows has to begin where others begin. */
  readonly isPlayable: () => boolean;
  /**
   * True once it was playable, also while a picture that comes late begins another order of segments: who plays already
   * goes on with what there is.
   */
  wasPlayable: boolean;
  /** A master was answered before there was a segment to list: who asks for the first list began here. */
  isAwaited: boolean;
  /**
   * Call before a list is shown.
   * @param isForList not only for a master
   */
  readonly publish: (isForList: boolean) => void;
  readonly takingIn: TakingIn | undefined;
  lastRequestMs: number;
  /** Bodies handed to viewers' sockets. */
  sentBytes: number;
}

export interface LiveStreamsOptions {
  readonly hub: StreamHub;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Hides the file names of a virtual host's streams; undefined: anybody can tell them. */
  readonly secretOf: (vhost: string) => string | undefined;
  readonly segmentMs: number;
  readonly partMs: number;
  readonly segmentCount: number;
  /** A stream is let go when nobody asked for anything of it for this long; a viewer is gone who asked for no playlist. */
  readonly silentMs: number;
  readonly packaging: Packaging;
  readonly segmentCacheControl: string;
  readonly partCacheControl: string;
  /** Keeps what leaves the live window. */
  readonly rewind?: { readonly disk: RewindDisk; readonly windowMs: number };
  readonly onProgress: (live: LiveStream, track?: TrackOutput) => void;
}

/** The request that asks for a stream: its raw query, the address it came from, and its trace id. */
export type StreamAsked = Required<Pick<StreamRequest, "rawQuery" | "client" | "trace">>;

export type OpenResult =
  | { readonly kind: "live"; readonly live: LiveStream }
  | { readonly kind: "not-found" | "unavailable"; readonly reason: string };

/** What an ended stream left is still served for this long; so is one that can be rewound kept for who paused. */
const lingerMs = 60_000;

/** The streams of this node that are cut into segments: begun by the first request, let go after the last. */
export class LiveStreams {
  readonly #options: LiveStreamsOptions;
  readonly #live = new Map<string, LiveStream>();
  readonly #sweeper: Timer;
  #silentMs: number | undefined;
  #isClosed = false;

  constructor(options: LiveStreamsOptions) {
    this.#options = options;
    this.#sweeper = every(options.clock, 1_000, () => this.#sweep());
  }

  /** A stream that is here, ended or not; who asks keeps it here. */
  find(name: StreamName): LiveStream | undefined {
    const live = this.look(name);
    if (live) live.lastRequestMs = this.#options.clock.nowMs();
    return live;
  }

  /** The same for who does not ask for it. */
  look(name: StreamName): LiveStream | undefined {
    return this.#live.get(nameOf(name));
  }

  /** The stream, pulled if need be. An ended one is begun anew. */
  async open(name: StreamName, asked: StreamAsked, signal: AbortSignal): Promise<OpenResult> {
    const before = this.find(name);
    if (before && !before.output.ended) return { kind: "live", live: before };
    const protocol = this.#options.packaging === "mpegts" ? "hls" : "llhls";
    const acquired = await this.#options.hub.acquire(name, { protocol, ...asked }, signal);
    if (acquired.kind !== "stream") return acquired;
    if (this.#isClosed) {
      acquired.hold.release();
      return { kind: "unavailable", reason: "this node is stopping" };
    }
    const meanwhile = this.find(name);
    if (meanwhile && !meanwhile.output.ended) {
      acquired.hold.release();
      return { kind: "live", live: meanwhile };
    }
    if (meanwhile) this.#remove(meanwhile);
    return { kind: "live", live: this.#begin(name, acquired.hold) };
  }

  list(): readonly LiveStream[] {
    return [...this.#live.values()];
  }

  /** From now on who asked for nothing for so long counts as gone. */
  countWithin(silentMs: number): void {
    this.#silentMs = silentMs;
  }

  /** A viewer was sent to another node. */
  moved(name: StreamName, token: string): void {
    const live = this.find(name);
    live?.viewers.moved(token);
    if (live) this.#count(live);
  }

  #count(live: LiveStream): void {
    live.hold.viewers = live.viewers.count(this.#options.clock.nowMs(), this.#silentMs);
  }

  close(): void {
    this.#isClosed = true;
    this.#sweeper.cancel();
    for (const live of this.#live.values()) this.#remove(live);
  }

  #begin(name: StreamName, hold: StreamHold): LiveStream {
    const { clock, logger, secretOf, onProgress, rewind } = this.#options;
    const { packaging, segmentMs, partMs, segmentCount, silentMs } = this.#options;
    const { segmentCacheControl, partCacheControl } = this.#options;
    const { stream } = hold;
    const log = logger.with({ app: name.app, stream: name.stream });
    const output = new StreamOutput(stream, {
      packaging,
      segmentMs,
      partMs,
      segmentCount,
      segmentCacheControl,
      partCacheControl,
      streamKey: streamFileKey(name, stream.description, secretOf(name.vhost)),
      logger: log,
      ...(rewind && { rewind }),
      onProgress: (track) => onProgress(live, track),
    });
    const takingIn = packaging === "mpegts" ? undefined : new TakingIn(output, partMs, clock, () => onProgress(live));
    const live: LiveStream = {
      name,
      isPlayable: () => {
        const isPlayable = output.isPlayable && (takingIn?.isOver ?? true);
        if (isPlayable) live.wasPlayable = true;
        return isPlayable;
      },
      wasPlayable: false,
      isAwaited: false,
      publish: (isForList) => output.publish(isForList && !live.isAwaited),
      takingIn,
      output,
      viewers: new Viewers(silentMs, (viewer) => log.info("llhls viewer left", viewer)),
      hold,
      beganMs: clock.nowMs(),
      lastRequestMs: clock.nowMs(),
      sentBytes: 0,
    };
    hold.sentBytes = () => live.sentBytes;
    hold.holders = () => live.viewers.list();
    output.start();
    this.#live.set(nameOf(name), live);
    log.info(packaging === "mpegts" ? "hls began" : "llhls began", { streamKey: output.streamKey });
    return live;
  }

  #sweep(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const live of this.#live.values()) {
      this.#count(live);
      const { rewind, silentMs } = this.#options;
      const keptMs = live.output.ended || rewind ? Math.max(lingerMs, silentMs) : silentMs;
      if (nowMs - live.lastRequestMs > keptMs) this.#remove(live);
    }
  }

  #remove(live: LiveStream): void {
    this.#live.delete(nameOf(live.name));
    live.takingIn?.close();
    live.viewers.close();
    live.output.stop();
    live.output.forget();
    live.hold.release();
  }
}
