import type { Clock } from "../time/clock.ts";
import { parseDirectives, type DirectiveDefaults, type Directives } from "./directives.ts";
import type { LlHlsConfig } from "./ll-hls-config.ts";
import type { LiveStream } from "./live-streams.ts";
import type { FileName } from "./names.ts";
import { PlaylistTexts } from "./playlist-texts.ts";
import { readinessOf } from "./readiness.ts";
import {
  cacheControlOf,
  ownCacheControl,
  rangeOf,
  replyFile,
  replyStatus,
  replyText,
  type PreparedFile,
} from "./reply.ts";
import type { RewindSegment } from "./rewind-window.ts";
import type { TrackOutput } from "./track-output.ts";
import { maxHoldMs, type ViewerRequest } from "./viewer-request.ts";
import type { ViewerSessions } from "./viewer-sessions.ts";
import type { Viewer } from "./viewers.ts";
import type { WaitingRoom } from "./waiting-room.ts";

export interface MediaAnswersOptions {
  readonly config: LlHlsConfig;
  readonly clock: Clock;
  readonly sessions: ViewerSessions;
  readonly waiting: WaitingRoom;
  readonly targetSeconds: number;
  readonly partHoldBackMs: number;
}

/** Recent media of an origin is here within this time. */
const catchUpMs = 5_000;

/** Answers for a track's playlist and for its files, which are held while they are not there yet. */
export class MediaAnswers {
  readonly #options: MediaAnswersOptions;
  readonly #texts: PlaylistTexts;
  readonly #defaults: DirectiveDefaults;
  /** Said of playlists: without directives and with them, to anybody and to one viewer. */
  readonly #caching: Record<"shared" | "own", { readonly plain: string; readonly directed: string }>;

  constructor(options: MediaAnswersOptions) {
    const { config, targetSeconds, partHoldBackMs } = options;
    this.#options = options;
    this.#texts = new PlaylistTexts({
      targetSeconds,
      partHoldBackMs,
      hasPreloadHint: config.hasPreloadHint ?? true,
    });
    const { chunklist, chunklistWithDirectives } = config.maxAge ?? {};
    const plain = cacheControlOf(chunklist, "no-cache");
    const directed = cacheControlOf(chunklistWithDirectives, `max-age=${6 * targetSeconds}`);
    const own = { plain: ownCacheControl(plain), directed: ownCacheControl(directed) };
    this.#caching = { shared: { plain, directed }, own };
    this.#defaults = { isLegacy: config.isLegacyByDefault ?? false, isRewind: config.rewind?.isDefault ?? true };
  }

  async open(request: ViewerRequest, name: FileName & { kind: "media" }): Promise<void> {
    const { exchange } = request;
    const { sessions, waiting } = this.#options;
    // Nothing is pulled for who may not watch.
    if (!parseDirectives(request.query, this.#defaults)) return replyStatus(exchange, 400);
    if (!sessions.mayHaveMedia(request, waiting.look(request))) return sessions.refuse(request);
    const live = await waiting.playable(request, () => replyStatus(exchange, 503, { "Retry-After": "1" }));
    if (!live) return;
    const track = live.output.streamKey === name.key ? live.output.track(name.trackId) : undefined;
    if (!track || track.type !== name.type) replyStatus(exchange, 404);
    else this.answer(request, live, track);
  }

  answer(request: ViewerRequest, live: LiveStream, track: TrackOutput): void {
    const { clock, sessions, targetSeconds, waiting } = this.#options;
    const { exchange, query, session } = request;
    const nowMs = clock.nowMs();
    const directives = parseDirectives(query, this.#defaults);
    if (!directives) return replyStatus(exchange, 400);
    if (!sessions.mayHaveMedia(request, live)) return sessions.refuse(request);
    if (live.viewers.isEnded(session)) return replyStatus(exchange, 403);
    // Players who come from another edge are ahead of one that is still taking in what its origin remembers.
    const isYoung = nowMs - live.beganMs < catchUpMs;
    const isCatchingUp = isYoung && session !== "" && !live.viewers.has(session);
    const viewer = sessions.saw(live, request, nowMs, directives.msn !== undefined);
    const readiness = readinessOf(track, directives, isCatchingUp);
    if (readiness === "never") return replyStatus(exchange, 400);
    const send = (): void => this.#sendMedia(request, live, track, directives, viewer);
    if (readiness === "now") return send();
    const holdMs = Math.min(maxHoldMs, 3_000 * targetSeconds);
    const isReady = (): boolean => readinessOf(track, directives, isCatchingUp) !== "later";
    // The viewer's time may end meanwhile.
    const sendStill = (): void => (sessions.mayHaveMedia(request, live) ? send() : sessions.refuse(request));
    waiting.hold(request, track, holdMs, isReady, sendStill);
  }

  #sendMedia(
    { exchange, session }: ViewerRequest,
    live: LiveStream,
    track: TrackOutput,
    directives: Directives,
    viewer: Viewer | undefined,
  ): void {
    const { plain, directed } = this.#caching[session === "" ? "shared" : "own"];
    // An end that was told to one must not be told to who asks when the stream has come back.
    const cacheControl = track.isEnded ? "no-cache" : directives.msn === undefined ? plain : directed;
    const text = this.#texts.media(live.output, track, directives);
    this.#options.sessions.sentMedia(viewer, live, replyText(exchange, text, cacheControl));
  }

  /** Answers with a segment that left the live window, from the disk. */
  async #sendStored({ exchange }: ViewerRequest, live: LiveStream, { file, prepared }: RewindSegment): Promise<void> {
    const { sessions } = this.#options;
    if (!file || !prepared) return replyStatus(exchange, 404);
    const range = rangeOf(exchange, prepared);
    if (range === "unsatisfiable" || exchange.method === "HEAD" || file.pieces) {
      const whole = file.pieces ? prepared.withPieces(file.pieces) : prepared;
      return sessions.sent(live, replyFile(exchange, whole));
    }
    // Begun before anything is promised: a file that somebody took away is a plain 404.
    const body = await begun(file.read(...(range ?? [0, prepared.size])));
    if (!body) return replyStatus(exchange, 404);
    if (exchange.isOver) return void (await body.return());
    sessions.sent(
      live,
      replyFile(exchange, prepared, () => body),
    );
  }

  /** Players who come from an edge that is ahead ask for a segment before it is whole here. */
  #awaitSegment(
    request: ViewerRequest,
    live: LiveStream,
    track: TrackOutput,
    { msn, key }: FileName & { kind: "segment" },
  ): void {
    const { exchange, target } = request;
    const { sessions, waiting } = this.#options;
    const answer = (): void => {
      const file = track.file(target.file);
      if (file) sessions.sent(live, replyFile(exchange, file));
      else replyStatus(exchange, 404);
    };
    if (!track.isSegmentToCome(msn, key)) return answer();
    waiting.hold(request, track, maxHoldMs, () => !track.isSegmentToCome(msn, key), answer);
  }

  async answerFile(request: ViewerRequest, name: FileName & { kind: "init" | "segment" | "part" }): Promise<void> {
    const { sessions, waiting } = this.#options;
    const { exchange, target } = request;
    const live = await waiting.playable(request, () => replyStatus(exchange, 503, { "Retry-After": "1" }));
    if (!live) return;
    const track = live.output.track(name.trackId);
    if (!track || track.type !== name.type || name.key.split("-")[0] !== live.output.streamKey) {
      return replyStatus(exchange, 404);
    }
    const send = (file: PreparedFile): void => {
      sessions.sent(live, replyFile(exchange, file));
    };
    const file = track.file(target.file) ?? track.rewind?.init(target.file);
    if (file) return send(file);
    const stored = track.rewind?.find(target.file);
    if (stored) return this.#sendStored(request, live, stored);
    if (name.kind === "init") return replyStatus(exchange, 404);
    const canonical = track.canonicalOf(name.msn, name.kind === "part" ? name.part : undefined, name.key);
    if (canonical !== undefined) {
      return replyStatus(exchange, 302, { Location: canonical, "Cache-Control": "max-age=1" });
    }
    if (name.kind === "segment") return this.#awaitSegment(request, live, track, name);
    const resolve = (): ReturnType<TrackOutput["resolvePart"]> => track.resolvePart(name.msn, name.part, name.key);
    const answer = (): void => {
      const part = resolve();
      if (part && part !== "later") send(part.file);
      else replyStatus(exchange, 404);
    };
    if (resolve() !== "later") return answer();
    // What comes in place of a hinted part may begin in the middle of its segment: under a name of its own.
    const instead = (): string | undefined => (name.part === 0 ? track.segmentAt(name.msn)?.parts[0]?.uri : undefined);
    const isStillToCome = (): boolean =>
      name.part === 0 && !track.isEnded && (track.segments.at(-1)?.msn ?? 0) <= name.msn && instead() === undefined;
    const isReady = (): boolean => (resolve() === undefined ? !isStillToCome() : resolve() !== "later");
    waiting.hold(request, track, maxHoldMs, isReady, () => {
      const uri = resolve() === undefined ? instead() : undefined;
      if (uri === undefined) answer();
      else replyStatus(exchange, 302, { Location: uri, "Cache-Control": "max-age=1" });
    });
  }
}

/** What a generator gives, whose first value is there already; undefined when it fails at once. */
async function begun(body: AsyncGenerator<Uint8Array>): Promise<StartedBody | undefined> {
  try {
    return new StartedBody(await body.next(), body);
  } catch {
    return undefined;
  }
}

/** Unlike a generator, one that nobody began to read lets go of its file, too. */
class StartedBody implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  readonly #rest: AsyncGenerator<Uint8Array>;
  #first: IteratorResult<Uint8Array> | undefined;

  constructor(first: IteratorResult<Uint8Array>, rest: AsyncGenerator<Uint8Array>) {
    this.#first = first;
    this.#rest = rest;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    const first = this.#first;
    this.#first = undefined;
    return first ? Promise.resolve(first) : this.#rest.next();
  }

  return(): Promise<IteratorResult<Uint8Array>> {
    return this.#rest.return(undefined);
  }
}
