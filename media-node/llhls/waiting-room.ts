import type { Clock } from "../time/clock.ts";
import type { HeldRequests, HoldLimits } from "./held-requests.ts";
import type { LiveStream, LiveStreams, OpenResult } from "./live-streams.ts";
import { replyRefusal, replyStatus } from "./reply.ts";
import type { TrackOutput } from "./track-output.ts";
import type { ViewerRequest } from "./viewer-request.ts";

export interface WaitingRoomOptions {
  readonly clock: Clock;
  readonly limits: HoldLimits;
  readonly streams: LiveStreams;
  readonly held: HeldRequests;
}

/** A stream that cannot be had is asked for again after this long. */
const againMs = 250;

/** Requests that wait for a stream to play, or for a part of it to be there. */
export class WaitingRoom {
  readonly #options: WaitingRoomOptions;
  #waiting = 0;

  constructor(options: WaitingRoomOptions) {
    this.#options = options;
  }

  /** The stream that is asked for if it is here, for whom it may be. */
  look({ target }: ViewerRequest): LiveStream | undefined {
    return this.#options.streams.look(target);
  }

  /** Keeps a request until `isReady`, then `send`s; 503 when that takes too long or too many wait. */
  hold(
    request: ViewerRequest,
    group: TrackOutput | LiveStream,
    holdMs: number,
    isReady: () => boolean,
    send: () => void,
  ): void {
    const { exchange, session, target } = request;
    const busy = (): void => replyStatus(exchange, 503, { "Retry-After": "1" });
    const held = {
      isReady,
      address: target.remoteAddress,
      session,
      release: (outcome: "ready" | "expired") => (outcome === "ready" ? send() : busy()),
    };
    const forget = this.#options.held.hold(group, held, holdMs);
    if (forget) exchange.onGone(forget);
    else busy();
  }

  /**
   * The stream once it has something to play; for a master also when it takes too long until a segment is whole, as it does with
   * segments of ten seconds: hls.js never recovers from a master that is answered 202, and waits again for its playlists.
   * Undefined when the request was answered here, or its client is gone.
   * @param tooLate answers when that takes too long
   */
  async playable(request: ViewerRequest, tooLate: () => void): Promise<LiveStream | undefined> {
    const live = await this.#playableNow(request, tooLate);
    if (request.isMaster && live && !live.isPlayable()) live.isAwaited = true;
    else live?.publish(!request.isMaster);
    return live;
  }

  async #playableNow(request: ViewerRequest, tooLate: () => void): Promise<LiveStream | undefined> {
    const { target, exchange } = request;
    const there = this.#options.streams.find(target);
    const isPlaying = !request.isMaster && there?.wasPlayable;
    if (there && (isPlaying || there.isPlayable()) && !(there.output.ended && request.isMaster)) return there;
    if (this.#waiting >= this.#options.limits.total) {
      replyStatus(exchange, 503, { "Retry-After": "1" });
      return undefined;
    }
    this.#waiting++;
    try {
      return await this.#waitPlayable(request, tooLate);
    } finally {
      this.#waiting--;
    }
  }

  async #waitPlayable(request: ViewerRequest, tooLate: () => void): Promise<LiveStream | undefined> {
    const { exchange, deadlineMs } = request;
    const abort = new AbortController();
    const { clock } = this.#options;
    const onClose = (): void => abort.abort();
    exchange.onGone(onClose);
    const timer = clock.after(deadlineMs - clock.nowMs(), onClose);
    try {
      const opened = await this.#open(request, abort.signal);
      if (exchange.isOver) return undefined;
      if (abort.signal.aborted) {
        tooLate();
        return undefined;
      }
      if (opened.kind !== "live") {
        if (opened.kind === "not-found") replyStatus(exchange, 404);
        else replyStatus(exchange, 503, { "Retry-After": "1" });
        return undefined;
      }
      const { live } = opened;
      if (live.isPlayable()) return live;
      if (!live.output.isDeliverable) {
        const codecs = live.output.stream.description.tracks.map(({ codec }) => codec).join(", ");
        replyRefusal(exchange, 404, `players of this format take none of what the stream has: ${codecs || "nothing"}`);
        return undefined;
      }
      // From here on the hold itself ends in time.
      timer.cancel();
      const outcome = await this.#becomesPlayable(request, live, abort.signal);
      if (outcome === "ready" && live.isPlayable()) return live;
      if (request.isMaster && !abort.signal.aborted && live.output.hasMedia) return live;
      if (!exchange.isOver) tooLate();
      return undefined;
    } finally {
      timer.cancel();
    }
  }

  /** Who plays already is kept waiting for a node that has only just started and does not know where the stream is. */
  async #open(request: ViewerRequest, signal: AbortSignal): Promise<OpenResult> {
    const { target, isMaster } = request;
    const asked = { rawQuery: target.rawQuery, client: target.remoteAddress, trace: traceIn(request) };
    for (;;) {
      const opened = await this.#options.streams.open(target, asked, signal);
      if (opened.kind !== "unavailable" || isMaster || signal.aborted) return opened;
      await new Promise<void>((resolve) => void this.#options.clock.after(againMs, resolve));
    }
  }

  #becomesPlayable(
    { target, session, deadlineMs }: ViewerRequest,
    live: LiveStream,
    gone: AbortSignal,
  ): Promise<"ready" | "expired"> {
    const holdMs = deadlineMs - this.#options.clock.nowMs();
    return new Promise((resolve) => {
      const isReady = (): boolean => live.isPlayable() || live.output.ended !== undefined;
      const forget = this.#options.held.hold(
        live,
        { isReady, address: target.remoteAddress, session, release: resolve },
        holdMs,
      );
      if (!forget) return resolve("expired");
      gone.addEventListener("abort", () => (forget(), resolve("expired")), { once: true });
    });
  }
}

/** Only the request for a master playlist has one: what a CDN keeps is asked for in nobody's name. */
const traceIn = ({ isMaster, target }: ViewerRequest): string | undefined => (isMaster ? target.trace : undefined);
