import type { AdmitViewer, HttpGuest, PlainExchange, ViewerTarget } from "../core/guest.ts";
import type { StreamHub } from "../core/stream-hub.ts";
import type { StreamName } from "../core/stream-name.ts";
import type { CloseReason } from "../flow/close-group.ts";
import { messageOf } from "../flow/errors.ts";
import type { Histogram } from "../flow/histogram.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock } from "../time/clock.ts";
import { HeldRequests, type HoldLimits } from "./held-requests.ts";
import type { LlHlsConfig } from "./ll-hls-config.ts";
import { LiveStreams } from "./live-streams.ts";
import { MasterAnswers } from "./master-answers.ts";
import { MediaAnswers } from "./media-answers.ts";
import { parseFileName, type FileName } from "./names.ts";
import { cacheControlOf, immutable, replyFile, replyOptions, replyStatus } from "./reply.ts";
import { RewindDisk, type RewindDiskStats } from "./rewind-disk.ts";
import { SlicedWork } from "./sliced-work.ts";
import { isKeyOf } from "./stream-key.ts";
import { partTargetMs } from "./track-output.ts";
import { TsAnswers } from "./ts-answers.ts";
import { parseTsFileName, type TsFileName } from "./ts-names.ts";
import { TsShelf } from "./ts-shelf.ts";
import { untilWhole } from "./until-whole.ts";
import { viewerRequest } from "./viewer-request.ts";
import { ViewerSessions } from "./viewer-sessions.ts";
import { WaitingRoom } from "./waiting-room.ts";

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
  /** Bytes and segments on disk for rewinding, and segments that could not be kept. */
  readonly rewind: RewindDiskStats;
}

export interface LlHls extends HttpGuest {
  serve(exchange: PlainExchange, target: ViewerTarget): boolean;
  readonly stats: LlHlsStats;
  /**
   * Begins to cut a stream for viewers of another node who are about to come, so that they find what they had there.
   * @returns whether they may come; not before `signal` aborts when there is no whole segment
   */
  warm(name: StreamName, signal: AbortSignal): Promise<boolean>;
  /** The request was answered with another node's address: its viewer counts no more. */
  sentOn(target: ViewerTarget): void;
  /** How far behind the newest media those play who watch a stream now; undefined when nobody does. */
  holdBackMs(name: StreamName): number | undefined;
  /** The node goes: viewers count for as long as players wait between two requests, and no longer. */
  drain(): void;
  /** Answers what is held, lets every stream go. */
  close(reason: CloseReason): Promise<void>;
}

const defaultLimits: HoldLimits = { total: 20_000, perAddress: 1_024, perSession: 8 };

/** LL-HLS for every stream of a hub: mount it on the node's HTTP server. */
export function createLlHls(options: LlHlsOptions): LlHls {
  return new LlHlsGuest(options);
}

class LlHlsGuest implements LlHls {
  readonly #options: LlHlsOptions;
  readonly #held: HeldRequests;
  readonly #streams: LiveStreams;
  readonly #sessions: ViewerSessions;
  readonly #master: MasterAnswers;
  readonly #media: MediaAnswers;
  readonly #ts: TsAnswers | undefined;
  readonly #disk: RewindDisk | undefined;
  #isClosed = false;

  constructor(options: LlHlsOptions) {
    this.#options = options;
    const { admit, clock, config, logger, times } = options;
    const { partMs, segmentMs } = config;
    if (!(partMs > 0) || !(segmentMs >= partMs)) throw new RangeError("parts must be positive and fit into segments");
    const targetSeconds = targetSecondsOf(config);
    const limits = { ...defaultLimits, ...config.holdLimits };
    const yieldLoop = (next: () => void): void => void setImmediate(next);
    const held = new HeldRequests({ clock, limits, yieldLoop });
    const { rewind } = config;
    this.#disk = rewind && new RewindDisk({ ...rewind, clock, logger });
    const streams = liveStreamsOf(options, held, targetSeconds, this.#disk, (vhost) => this.#secretOf(vhost));
    const sessions = new ViewerSessions({
      clock,
      logger,
      secretOf: (vhost) => this.#secretOf(vhost),
      ttlMs: config.sessionTtlMs,
      silentMs: silentMsOf(config),
      randomBytes: options.randomBytes,
      times,
    });
    const waiting = new WaitingRoom({ clock, limits, streams, held });
    const cacheControl = cacheControlOf(config.maxAge?.segment, immutable);
    const shelf = config.mpegTs && new TsShelf({ cacheControl, work: new SlicedWork(yieldLoop) }, targetSeconds);
    const playlistOf = (target: ViewerTarget): string | undefined => {
      const name = this.#nameOf(target);
      return name?.kind === "master" ? name.playlist : undefined;
    };
    this.#held = held;
    this.#streams = streams;
    this.#sessions = sessions;
    this.#master = new MasterAnswers({ config, admit, sessions, waiting, shelf, playlistOf });
    const partHoldBackMs = partHoldBackMsOf(config);
    this.#media = new MediaAnswers({ config, clock, sessions, waiting, targetSeconds, partHoldBackMs });
    this.#ts = shelf && new TsAnswers({ clock, config, sessions, waiting, shelf });
  }

  get stats(): LlHlsStats {
    const nowMs = this.#options.clock.nowMs();
    const lives = this.#streams.list();
    return {
      streams: lives.length,
      viewers: lives.reduce((sum, { viewers }) => sum + viewers.count(nowMs), 0),
      heldRequests: this.#held.size,
      egressBytes: this.#sessions.egressBytes,
      rewind: this.#disk?.stats ?? { bytes: 0, files: 0, lost: 0 },
      heldBytes: lives.flatMap(({ output }) => output.tracks).reduce((sum, track) => sum + track.heldBytes, 0),
    };
  }

  async warm(name: StreamName, signal: AbortSignal): Promise<boolean> {
    const opened = await this.#streams.open(name, { rawQuery: "", client: "", trace: undefined }, signal);
    return opened.kind === "live" && untilWhole(opened.live.output, this.#options.clock, signal);
  }

  sentOn(target: ViewerTarget): void {
    const session = target.query.get("session");
    if (session !== null) this.#streams.moved(target, session);
  }

  holdBackMs(name: StreamName): number | undefined {
    const live = this.#streams.look(name);
    if (!live || live.viewers.count(this.#options.clock.nowMs()) === 0) return undefined;
    const { mpegTs } = this.#options.config;
    // RFC 8216bis §4.4.3.8: HOLD-BACK is three target durations where no parts are listed.
    return mpegTs ? 3_000 * targetSecondsOf(this.#options.config) : partHoldBackMsOf(this.#options.config);
  }

  drain(): void {
    // Players without low latency ask once a target duration.
    this.#streams.countWithin(1_000 * (targetSecondsOf(this.#options.config) + 1));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#held.close();
    this.#streams.close();
    this.#sessions.close();
    await this.#disk?.close();
  }

  serve(exchange: PlainExchange, target: ViewerTarget): boolean {
    if (this.#answerNow(exchange, target)) return true;
    const name = this.#nameOf(target);
    if (!name) return false;
    if (exchange.method === "OPTIONS") replyOptions(exchange);
    else if (exchange.method !== "GET" && exchange.method !== "HEAD") {
      replyStatus(exchange, 405, { Allow: "OPTIONS, GET, HEAD" });
    } else if (this.#isClosed) replyStatus(exchange, 503, { "Retry-After": "1" });
    else {
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

  #secretOf(vhost: string): string | undefined {
    const { secret, secretOf } = this.#options;
    return secret ?? secretOf?.(vhost);
  }

  /**
   * Nearly all requests: for what is there under that very name, or will be in a moment.
   * @returns false where it takes more than a look
   */
  #answerNow(exchange: PlainExchange, target: ViewerTarget): boolean {
    const { clock, config } = this.#options;
    if (this.#isClosed || config.mpegTs || (exchange.method !== "GET" && exchange.method !== "HEAD")) return false;
    const live = this.#streams.look(target);
    if (!live || !(live.wasPlayable || live.isPlayable())) return false;
    const file = live.output.file(target.file);
    const track = file ? undefined : live.output.tracks.find(({ playlistUri }) => playlistUri === target.file);
    if (!file && !track) return false;
    const nowMs = clock.nowMs();
    live.lastRequestMs = nowMs;
    live.publish(true);
    if (file) this.#sessions.sent(live, replyFile(exchange, file));
    if (track) this.#media.answer(viewerRequest(exchange, target, false, nowMs), live, track);
    return true;
  }

  async #answer(exchange: PlainExchange, target: ViewerTarget, name: FileName | TsFileName): Promise<void> {
    const request = viewerRequest(exchange, target, name.kind === "master", this.#options.clock.nowMs());
    if (name.kind === "master") return this.#master.answer(request, name.playlist);
    if (!isKeyOf(name.key, target, this.#secretOf(target.vhost))) replyStatus(exchange, 404);
    else if (name.kind === "ts-media" || name.kind === "ts-segment") await this.#ts?.answer(request, name);
    else if (name.kind === "media") await this.#media.open(request, name);
    else await this.#media.answerFile(request, name);
  }
}

const partHoldBackMsOf = ({ partHoldBackMs = 0, partMs }: LlHlsConfig): number =>
  Math.max(partHoldBackMs, 3 * partTargetMs(partMs));

/** No segment is longer than two cells of the grid. */
const targetSecondsOf = ({ segmentMs }: LlHlsConfig): number => Math.ceil((2 * segmentMs) / 1000);

/** Players without low latency ask once a target duration; those that wait for media are held for less than ten seconds. */
const silentMsOf = (config: LlHlsConfig): number => Math.max(10_000, 1_000 * (targetSecondsOf(config) + 1));

function liveStreamsOf(
  { clock, config, hub, logger }: LlHlsOptions,
  held: HeldRequests,
  targetSeconds: number,
  disk: RewindDisk | undefined,
  secretOf: (vhost: string) => string | undefined,
): LiveStreams {
  const { maxAge, mpegTs, partMs, rewind, segmentCount, segmentMs } = config;
  return new LiveStreams({
    hub,
    clock,
    logger,
    secretOf,
    segmentMs,
    partMs,
    silentMs: silentMsOf(config),
    segmentCount: Math.max(segmentCount, Math.ceil((3_000 * targetSeconds) / segmentMs) + 1),
    packaging: mpegTs ? "mpegts" : "fmp4",
    segmentCacheControl: cacheControlOf(maxAge?.segment, immutable),
    partCacheControl: cacheControlOf(maxAge?.part, immutable),
    ...(disk && rewind && { rewind: { disk, windowMs: rewind.windowMs } }),
    onProgress: (live, track) => {
      held.progress(live);
      if (track) held.progress(track);
    },
  });
}
