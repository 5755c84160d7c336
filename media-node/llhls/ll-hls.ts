import { randomBytes } from "node:crypto";
import type { Admitted, AdmitViewer, HttpGuest, PlainExchange, ViewerTarget } from "../core/guest.ts";
import { streamKey as nameOf } from "../core/stream-name.ts";
import type { StreamHub } from "../core/stream-hub.ts";
import type { CloseReason } from "../flow/close-group.ts";
import { messageOf } from "../flow/errors.ts";
import type { Histogram } from "../flow/histogram.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock } from "../time/clock.ts";
import { AdmittedSessions } from "./admitted-sessions.ts";
import { parseDirectives, type Directives } from "./directives.ts";
import { HeldRequests, type HoldLimits } from "./held-requests.ts";
import { LiveStreams, type LiveStream } from "./live-streams.ts";
import { masterPlaylist, variantsOf } from "./master-playlist.ts";
import { parseFileName, type FileName } from "./names.ts";
import { PlaylistTexts } from "./playlist-texts.ts";
import { readinessOf } from "./readiness.ts";
import {
  cacheControlOf,
  immutable,
  PreparedText,
  replyFile,
  replyOptions,
  replyRefusal,
  replyStatus,
  replyText,
  type PreparedFile,
} from "./reply.ts";
import { isKeyOf } from "./stream-key.ts";
import { partTargetMs, type TrackOutput } from "./track-output.ts";
import { TracedExchange } from "./traced-exchange.ts";
import { parseTsFileName, type TsFileName } from "./ts-names.ts";
import { TsShelf } from "./ts-shelf.ts";
import { createViewerTokens, type ViewerTokens } from "./viewer-token.ts";

/** Settings of the publisher. Every node of a cluster must have the same `partMs` and `segmentMs`. */
export interface LlHlsConfig {
  /** Length of a part (OvenMediaEngine: `ChunkDuration`); a whole number of frames may be 5 % longer. */
  readonly partMs: number;
  /** Length of the numbering grid; segments are this long where key frames allow it (`SegmentDuration`). */
  readonly segmentMs: number;
  /** Whole segments in a playlist (`SegmentCount`); raised so that three target durations fit. */
  readonly segmentCount: number;
  /** Raised to three parts (`PartHoldBack`). */
  readonly partHoldBackMs?: number;
  /** `EnablePreloadHint`, default true. */
  readonly hasPreloadHint?: boolean;
  /** Whole segments only, where a request does not say (`DefaultQueryString`). */
  readonly isLegacyByDefault?: boolean;
  /**
   * HLS version 3: MPEG-TS segments with sound and picture in one in place of all this room offers else; parts and what
   * is said of them are left out. `isPlainTaken`: `playlist.m3u8` without `ts:` is this publisher's, too.
   */
  readonly mpegTs?: { readonly isPlainTaken: boolean };
  /** Offers `llhls.m3u8` and `master.m3u8` also where the origin names other playlists (`CreateDefaultPlaylist`). */
  readonly hasDefaultPlaylist?: boolean;
  /** What is said of caching in place of what fits most (`CacheControl`). */
  readonly maxAge?: MaxAges;
  readonly holdLimits?: Partial<HoldLimits>;
  /** A viewer's token is good for this long; default 12 h. */
  readonly sessionTtlMs?: number;
}

/** Seconds by kind of answer; 0 means `no-cache, no-store`, -1 no header, absent what Hearth says itself. */
export interface MaxAges {
  readonly masterPlaylist?: number;
  readonly chunklist?: number;
  readonly chunklistWithDirectives?: number;
  readonly segment?: number;
  readonly part?: number;
}

export interface LlHlsOptions {
  readonly hub: StreamHub;
  readonly admit: AdmitViewer;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config: LlHlsConfig;
  /** Shared by all nodes: signs viewers' tokens and hides file names. Without it children are open to everybody. */
  readonly secret?: string;
  /** The same for the viewers of one virtual host, where `secret` is not set: guarded ones need a secret. */
  readonly secretOf?: (vhost: string) => string | undefined;
  /** How long viewers waited for their master playlist, and for the first playlist with media. */
  readonly times?: { readonly join: Histogram; readonly firstMedia: Histogram };
  readonly randomBytes?: (count: number) => Uint8Array;
}

export interface LlHlsStats {
  readonly streams: number;
  readonly viewers: number;
  readonly heldRequests: number;
  /** Bytes of parts kept for serving. */
  readonly heldBytes: number;
  /** Bytes of bodies handed to viewers' sockets since the start. */
  readonly egressBytes: number;
}

export interface LlHls extends HttpGuest {
  serve(exchange: PlainExchange, target: ViewerTarget): boolean;
  readonly stats: LlHlsStats;
  /** Answers what is held, lets every stream go. */
  close(reason: CloseReason): Promise<void>;
}

/** Requests wait for a stream that is coming, and for a part, at most this long: players give up at 10 s. */
const maxHoldMs = 8_000;
/** Recent media of an origin is here within this time. */
const catchUpMs = 5_000;
/** Longer `session` values are none of ours. */
const maxSessionLength = 128;
const defaultSessionTtlMs = 12 * 3_600_000;
const defaultLimits: HoldLimits = { total: 20_000, perAddress: 1_024, perSession: 8 };

/** LL-HLS for every stream of a hub: mount it on the node's HTTP server. */
export function createLlHls(options: LlHlsOptions): LlHls {
  return new LlHlsGuest(options);
}

/** One request on its way. */
interface Request {
  readonly exchange: PlainExchange;
  readonly target: ViewerTarget;
  /** As the viewer sent it, `""` if there was none. */
  readonly session: string;
  readonly beganMs: number;
  readonly deadlineMs: number;
}

class LlHlsGuest implements LlHls {
  readonly #options: LlHlsOptions;
  readonly #held: HeldRequests;
  readonly #streams: LiveStreams;
  readonly #tokens = new Map<string | undefined, ViewerTokens>();
  readonly #admitted: AdmittedSessions;
  readonly #texts: PlaylistTexts;
  readonly #targetSeconds: number;
  readonly #isLegacyByDefault: boolean;
  readonly #shelf: TsShelf | undefined;
  readonly #maxWaiting: number;
  #waiting = 0;
  #egressBytes = 0;
  #isClosed = false;

  constructor(options: LlHlsOptions) {
    this.#options = options;
    const { clock, config, hub, logger } = options;
    const { partMs, segmentMs } = config;
    if (!(partMs > 0) || !(segmentMs >= partMs)) throw new RangeError("parts must be positive and fit into segments");
    // No segment is longer than two cells of the grid.
    this.#targetSeconds = Math.ceil((2 * segmentMs) / 1000);
    const limits = { ...defaultLimits, ...config.holdLimits };
    this.#maxWaiting = limits.total;
    this.#held = new HeldRequests({ clock, limits, yieldLoop: (next) => void setImmediate(next) });
    this.#admitted = new AdmittedSessions(clock);
    this.#texts = new PlaylistTexts({
      targetSeconds: this.#targetSeconds,
      partHoldBackMs: Math.max(config.partHoldBackMs ?? 0, 3 * partTargetMs(partMs)),
      hasPreloadHint: config.hasPreloadHint ?? true,
    });
    this.#isLegacyByDefault = config.isLegacyByDefault ?? false;
    const segmentCacheControl = cacheControlOf(config.maxAge?.segment, immutable);
    if (config.mpegTs) this.#shelf = new TsShelf(segmentCacheControl, this.#targetSeconds);
    this.#streams = new LiveStreams({
      hub,
      clock,
      logger,
      secretOf: (vhost) => this.#secretOf(vhost),
      segmentMs,
      partMs,
      segmentCount: Math.max(config.segmentCount, Math.ceil((3_000 * this.#targetSeconds) / segmentMs) + 1),
      packaging: config.mpegTs ? "mpegts" : "fmp4",
      segmentCacheControl,
      partCacheControl: cacheControlOf(config.maxAge?.part, immutable),
      onProgress: (live, track) => {
        this.#held.progress(live);
        if (track) this.#held.progress(track);
      },
    });
  }

  get stats(): LlHlsStats {
    const nowMs = this.#options.clock.nowMs();
    const lives = this.#streams.list();
    return {
      streams: lives.length,
      viewers: lives.reduce((sum, { viewers }) => sum + viewers.count(nowMs), 0),
      heldRequests: this.#held.size,
      egressBytes: this.#egressBytes,
      heldBytes: lives.flatMap(({ output }) => output.tracks).reduce((sum, track) => sum + track.heldBytes, 0),
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#held.close();
    this.#streams.close();
    this.#admitted.close();
    await Promise.resolve();
  }

  serve(exchange: PlainExchange, target: ViewerTarget): boolean {
    const name = this.#nameOf(target);
    if (!name) return false;
    if (exchange.method === "OPTIONS") replyOptions(exchange);
    else if (exchange.method !== "GET" && exchange.method !== "HEAD") {
      replyStatus(exchange, 405, { Allow: "OPTIONS, GET, HEAD" });
    } else if (this.#isClosed) replyStatus(exchange, 503, { "Retry-After": "1" });
    else if (!this.#answerNow(exchange, target, name)) {
      this.#answer(exchange, target, name).catch((thrown: unknown) => {
        this.#options.logger.error("llhls request failed", { error: messageOf(thrown) });
        replyStatus(exchange, 500);
      });
    }
    return true;
  }

  #nameOf({ file, query }: ViewerTarget): FileName | TsFileName | undefined {
    const { mpegTs } = this.#options.config;
    return mpegTs ? parseTsFileName(file, query, mpegTs.isPlainTaken) : parseFileName(file, query);
  }

  /** Nearly all requests: for what is there, or will be in a moment. @returns false where it takes more than a look */
  #answerNow(exchange: PlainExchange, target: ViewerTarget, name: FileName | TsFileName): boolean {
    if (name.kind === "master" || name.kind === "ts-media" || name.kind === "ts-segment") return false;
    const live = this.#streams.find(target);
    if (!live?.output.isPlayable || name.key.split("-", 1)[0] !== live.output.streamKey) return false;
    const track = live.output.track(name.trackId);
    if (!track) return false;
    if (name.kind === "media") {
      if (name.key !== live.output.streamKey || name.type !== track.type) return false;
      live.output.publish();
      this.#answerMedia(this.#requestOf(exchange, target), live, track);
      return true;
    }
    const file = track.file(target.file);
    if (!file) return false;
    live.output.publish();
    this.#sent(live, replyFile(exchange, file));
    return true;
  }

  #requestOf(exchange: PlainExchange, target: ViewerTarget): Request {
    const session = target.query.get("session") ?? "";
    const beganMs = this.#options.clock.nowMs();
    return { exchange, target, session, beganMs, deadlineMs: beganMs + maxHoldMs };
  }

  async #answer(exchange: PlainExchange, target: ViewerTarget, name: FileName | TsFileName): Promise<void> {
    if (name.kind === "master") {
      const traced = target.trace === undefined ? exchange : new TracedExchange(exchange, target.trace);
      return this.#answerMaster(this.#requestOf(traced, target), name.playlist);
    }
    const request = this.#requestOf(exchange, target);
    if (!isKeyOf(name.key, target, this.#secretOf(target.vhost))) replyStatus(exchange, 404);
    else if (name.kind === "ts-media" || name.kind === "ts-segment") await this.#answerTs(request, name);
    else if (name.kind === "media") await this.#openMedia(request, name);
    else await this.#answerFile(request, name);
  }

  async #answerMaster(asked: Request, playlist: string): Promise<void> {
    const { exchange } = asked;
    if (this.#isGenuine(asked)) return this.#sendMaster(asked, playlist);
    const admission = await this.#options.admit(asked.target, "llhls");
    if (!admission.isAdmitted) return replyRefusal(exchange, admission.status, admission.reason);
    const { target } = admission;
    const named = target && this.#nameOf(target);
    const given = named?.kind === "master" ? named.playlist : playlist;
    try {
      await this.#sendMaster(target ? { ...asked, target } : asked, given, admission);
    } finally {
      this.#admitted.settle(admission);
    }
  }

  async #sendMaster(request: Request, playlist: string, admission?: Admitted): Promise<void> {
    const { exchange, target } = request;
    // OvenPlayer asks again after 202, and after no other status.
    const live = await this.#playable(request, () => replyStatus(exchange, 202, { "Retry-After": "1" }));
    if (!live) return;
    const { description } = live.output.stream;
    const { hasDefaultPlaylist = true, maxAge } = this.#options.config;
    const packaging = this.#shelf ? "mpegts" : "fmp4";
    const variants = variantsOf(playlist, description, (id) => withMedia(live, id), hasDefaultPlaylist, packaging);
    if (!variants) {
      replyStatus(exchange, 404);
      return;
    }
    const token = this.#tokenFor(request, live, admission);
    const legacy = target.query.get("_HLS_legacy");
    const childQuery = `session=${token}${legacy?.toUpperCase() === "YES" ? "&_HLS_legacy=YES" : legacy === null ? "" : "&_HLS_legacy=NO"}`;
    const childPath = admission?.target && { childPath: `/${target.app}/${target.stream}/` };
    const about = { tracks: description.tracks, childQuery, ...childPath };
    const text = this.#shelf?.master(live.output, variants, about) ?? masterPlaylist(variants, about);
    const cacheControl = cacheControlOf(maxAge?.masterPlaylist, "no-cache, no-store");
    this.#sent(live, replyText(exchange, new PreparedText(text), cacheControl));
    this.#options.times?.join.observe((this.#options.clock.nowMs() - request.beganMs) / 1_000);
  }

  #sent(live: LiveStream, bytes: number): void {
    this.#egressBytes += bytes;
    live.sentBytes += bytes;
  }

  /** Whether the request carries the token of a viewer this cluster admitted. Without a secret nothing proves that. */
  #isGenuine({ session, target }: Request, live?: LiveStream): boolean {
    const secret = this.#secretOf(target.vhost);
    const nowMs = this.#options.clock.wallMs();
    // Who was here a moment ago had a good signature; whether it has run out since is still to be seen.
    if (secret !== undefined && live?.viewers.has(session)) return !this.#tokensOf(secret).isExpired(session, nowMs);
    return secret !== undefined && this.#tokensOf(secret).verify(session, nameOf(target), nowMs);
  }

  #secretOf(vhost: string): string | undefined {
    const { secret, secretOf } = this.#options;
    return secret ?? secretOf?.(vhost);
  }

  /** Secrets are as many as an operator writes down. */
  #tokensOf(secret: string | undefined): ViewerTokens {
    const known = this.#tokens.get(secret);
    if (known) return known;
    const made = createViewerTokens({
      ...(secret !== undefined && { secret }),
      ttlMs: this.#options.config.sessionTtlMs ?? defaultSessionTtlMs,
      randomBytes: this.#options.randomBytes ?? randomBytes,
    });
    this.#tokens.set(secret, made);
    return made;
  }

  /** A returning viewer keeps the token it came with. */
  #tokenFor(request: Request, live: LiveStream, admission: Admitted | undefined): string {
    const { clock } = this.#options;
    const { session, target } = request;
    const tokens = this.#tokensOf(this.#secretOf(target.vhost));
    const isKnown = tokens.verify(session, nameOf(target), clock.wallMs());
    const token = isKnown ? session : tokens.issue(nameOf(target), clock.wallMs(), admission?.endsAtMs);
    const { app, stream, remoteAddress: viewer, trace } = target;
    if (!live.viewers.has(token)) this.#options.logger.info("llhls viewer came", { app, stream, viewer, trace });
    live.viewers.saw(token, clock.nowMs(), viewer, trace);
    if (admission) this.#admitted.begin(token, admission);
    return token;
  }

  async #openMedia(request: Request, name: FileName & { kind: "media" }): Promise<void> {
    const { exchange, target } = request;
    // Nothing is pulled for who may not watch.
    if (!parseDirectives(target.query, this.#isLegacyByDefault)) return replyStatus(exchange, 400);
    if (this.#secretOf(target.vhost) !== undefined && !this.#isGenuine(request)) return replyStatus(exchange, 401);
    const live = await this.#playable(request, () => replyStatus(exchange, 503, { "Retry-After": "1" }));
    if (!live) return;
    const track = live.output.streamKey === name.key ? live.output.track(name.trackId) : undefined;
    if (!track || track.type !== name.type) replyStatus(exchange, 404);
    else this.#answerMedia(request, live, track);
  }

  #answerMedia(request: Request, live: LiveStream, track: TrackOutput): void {
    const { exchange, session, target } = request;
    const nowMs = this.#options.clock.nowMs();
    const directives = parseDirectives(target.query, this.#isLegacyByDefault);
    if (!directives) return replyStatus(exchange, 400);
    if (this.#secretOf(target.vhost) !== undefined && !this.#isGenuine(request, live))
      return replyStatus(exchange, 401);
    if (live.viewers.isEnded(session)) return replyStatus(exchange, 403);
    // Players who come from another edge are ahead of one that is still taking in what its origin remembers.
    const isFromElsewhere = session !== "" && !live.viewers.has(session);
    const isCatchingUp = isFromElsewhere && nowMs - live.beganMs < catchUpMs;
    this.#sawViewer(live, request);
    const readiness = readinessOf(track, directives, isCatchingUp);
    if (readiness === "never") return replyStatus(exchange, 400);
    const send = (): void => this.#sendMedia(request, live, track, directives);
    if (readiness === "now") return send();
    const holdMs = Math.min(maxHoldMs, 3_000 * this.#targetSeconds);
    const isReady = (): boolean => readinessOf(track, directives, isCatchingUp) !== "later";
    this.#hold(request, track, holdMs, isReady, send);
  }

  #sendMedia({ exchange, session }: Request, live: LiveStream, track: TrackOutput, directives: Directives): void {
    const { chunklist, chunklistWithDirectives } = this.#options.config.maxAge ?? {};
    const withDirectives = cacheControlOf(chunklistWithDirectives, `max-age=${6 * this.#targetSeconds}`);
    const cacheControl =
      directives.msn === undefined
        ? cacheControlOf(chunklist, "no-cache")
        : session === "" || !withDirectives.startsWith("max-age")
          ? withDirectives
          : `private, ${withDirectives}`;
    this.#sent(live, replyText(exchange, this.#texts.media(live.output, track, directives), cacheControl));
    this.#sentMedia(live, session);
  }

  async #answerFile(request: Request, name: FileName & { kind: "init" | "segment" | "part" }): Promise<void> {
    const { exchange, target } = request;
    const live = await this.#playable(request, () => replyStatus(exchange, 503, { "Retry-After": "1" }));
    if (!live) return;
    const track = live.output.track(name.trackId);
    if (!track || track.type !== name.type || name.key.split("-")[0] !== live.output.streamKey) {
      return replyStatus(exchange, 404);
    }
    const send = (file: PreparedFile): void => {
      this.#sent(live, replyFile(exchange, file));
    };
    const file = track.file(target.file);
    if (file) return send(file);
    if (name.kind === "init") return replyStatus(exchange, 404);
    const canonical = track.canonicalOf(name.msn, name.kind === "part" ? name.part : undefined, name.key);
    if (canonical !== undefined) {
      return replyStatus(exchange, 302, { Location: canonical, "Cache-Control": "max-age=1" });
    }
    if (name.kind !== "part") return replyStatus(exchange, 404);
    const resolve = (): ReturnType<TrackOutput["resolvePart"]> => track.resolvePart(name.msn, name.part, name.key);
    const answer = (): void => {
      const part = resolve();
      if (part && part !== "later") send(part.file);
      else replyStatus(exchange, 404);
    };
    if (resolve() === "later") this.#hold(request, track, maxHoldMs, () => resolve() !== "later", answer);
    else answer();
  }

  /** Playlists and segments of HLS version 3, which nobody waits for once the stream plays. */
  async #answerTs(request: Request, name: Exclude<TsFileName, { kind: "master" }>): Promise<void> {
    const { exchange, session, target } = request;
    const isList = name.kind === "ts-media";
    const isGuarded = isList && this.#secretOf(target.vhost) !== undefined;
    // Nothing is pulled for who may not watch.
    if (isGuarded && !this.#isGenuine(request)) return replyStatus(exchange, 401);
    const live = await this.#playable(request, () => replyStatus(exchange, 503, { "Retry-After": "1" }));
    if (!live) return;
    const variant = this.#shelf?.variants.named(live.output, name);
    if (!variant || name.key.split("-", 1)[0] !== live.output.streamKey) return replyStatus(exchange, 404);
    if (!isList) {
      const found = this.#shelf?.find(variant, name);
      if (found?.file) this.#sent(live, replyFile(exchange, found.file));
      else if (found) replyStatus(exchange, 302, { Location: found.uri, "Cache-Control": "max-age=1" });
      else replyStatus(exchange, 404);
      return;
    }
    if (live.viewers.isEnded(session)) return replyStatus(exchange, 403);
    this.#sawViewer(live, request);
    const cacheControl = cacheControlOf(this.#options.config.maxAge?.chunklist, "no-cache");
    this.#sent(live, replyText(exchange, this.#shelf!.media(live.output, variant), cacheControl));
    this.#sentMedia(live, session);
  }

  #sawViewer(live: LiveStream, { session, target }: Request): void {
    if (session.length > maxSessionLength || session === "") return;
    live.viewers.saw(session, this.#options.clock.nowMs(), target.remoteAddress);
    this.#admitted.saw(session);
  }

  #sentMedia(live: LiveStream, session: string): void {
    const waitedMs = live.viewers.sawMedia(session, this.#options.clock.nowMs());
    if (waitedMs !== undefined) this.#options.times?.firstMedia.observe(waitedMs / 1_000);
  }

  /** Keeps a request until `isReady`, then `send`s; 503 when that takes too long or too many wait. */
  #hold(request: Request, track: TrackOutput, holdMs: number, isReady: () => boolean, send: () => void): void {
    const { exchange, session, target } = request;
    const busy = (): void => replyStatus(exchange, 503, { "Retry-After": "1" });
    const held = {
      isReady,
      address: target.remoteAddress,
      session,
      release: (outcome: "ready" | "expired") => (outcome === "ready" ? send() : busy()),
    };
    const forget = this.#held.hold(track, held, holdMs);
    if (forget) exchange.onGone(forget);
    else busy();
  }

  /**
   * The stream once it has something to play; undefined when the request was answered here, or its client is gone.
   * @param tooLate answers when that takes too long
   */
  async #playable(request: Request, tooLate: () => void): Promise<LiveStream | undefined> {
    const live = await this.#playableNow(request, tooLate);
    live?.output.publish();
    return live;
  }

  async #playableNow(request: Request, tooLate: () => void): Promise<LiveStream | undefined> {
    const { target, exchange } = request;
    const there = this.#streams.find(target);
    if (there?.output.isPlayable && (!there.output.ended || this.#nameOf(target)?.kind !== "master")) return there;
    if (this.#waiting >= this.#maxWaiting) {
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

  async #waitPlayable(request: Request, tooLate: () => void): Promise<LiveStream | undefined> {
    const { target, exchange, deadlineMs } = request;
    const abort = new AbortController();
    const { clock } = this.#options;
    const onClose = (): void => abort.abort();
    exchange.onGone(onClose);
    const timer = clock.after(deadlineMs - clock.nowMs(), onClose);
    try {
      const opened = await this.#streams.open(
        target,
        { rawQuery: target.rawQuery, client: target.remoteAddress, trace: traceIn(target) },
        abort.signal,
      );
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
      if (live.output.isPlayable) return live;
      if (!live.output.isDeliverable) {
        replyStatus(exchange, 404);
        return undefined;
      }
      const outcome = await this.#becomesPlayable(request, live, abort.signal);
      if (outcome === "ready" && live.output.isPlayable) return live;
      if (!exchange.isOver) tooLate();
      return undefined;
    } finally {
      timer.cancel();
    }
  }

  #becomesPlayable(
    { target, session, deadlineMs }: Request,
    live: LiveStream,
    gone: AbortSignal,
  ): Promise<"ready" | "expired"> {
    const holdMs = deadlineMs - this.#options.clock.nowMs();
    return new Promise((resolve) => {
      const isReady = (): boolean => live.output.isPlayable || live.output.ended !== undefined;
      const forget = this.#held.hold(
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
function traceIn(target: ViewerTarget): string | undefined {
  return parseFileName(target.file)?.kind === "master" ? target.trace : undefined;
}

/** A track's output if it has anything to offer; a silent one is left out of the choice. */
function withMedia(live: LiveStream, trackId: number): TrackOutput | undefined {
  const track = live.output.track(trackId);
  return track?.lastCompleteMsn === undefined ? undefined : track;
}
