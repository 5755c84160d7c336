import type { Clock } from "../time/clock.ts";
import type { LlHlsConfig } from "./ll-hls-config.ts";
import { cacheControlOf, ownCacheControl, replyFile, replyStatus, replyText } from "./reply.ts";
import type { LiveStream } from "./live-streams.ts";
import type { TsFileName } from "./ts-names.ts";
import type { TsShelf } from "./ts-shelf.ts";
import type { TsVariant } from "./ts-variant.ts";
import { maxHoldMs, type ViewerRequest } from "./viewer-request.ts";
import type { ViewerSessions } from "./viewer-sessions.ts";
import type { WaitingRoom } from "./waiting-room.ts";

export interface TsAnswersOptions {
  readonly clock: Clock;
  readonly config: LlHlsConfig;
  readonly sessions: ViewerSessions;
  readonly waiting: WaitingRoom;
  readonly shelf: TsShelf;
}

/** Answers for playlists and segments of HLS version 3: playlists at once when the stream plays. */
export class TsAnswers {
  readonly #options: TsAnswersOptions;

  constructor(options: TsAnswersOptions) {
    this.#options = options;
  }

  async answer(request: ViewerRequest, name: Exclude<TsFileName, { kind: "master" }>): Promise<void> {
    const { clock, config, sessions, shelf, waiting } = this.#options;
    const { exchange, session } = request;
    const isList = name.kind === "ts-media";
    // Nothing is pulled for who may not watch.
    if (isList && !sessions.mayHaveMedia(request, waiting.look(request))) return sessions.refuse(request);
    const live = await waiting.playable(request, () => replyStatus(exchange, 503, { "Retry-After": "1" }));
    if (!live) return;
    const variant = shelf.variants.named(live.output, name);
    if (!variant || name.key.split("-", 1)[0] !== live.output.streamKey) return replyStatus(exchange, 404);
    if (name.kind === "ts-segment") return this.#sendSegment(request, live, variant, name);
    if (live.viewers.isEnded(session)) return replyStatus(exchange, 403);
    const viewer = sessions.saw(live, request, clock.nowMs(), false);
    const caching = cacheControlOf(config.maxAge?.chunklist, "no-cache");
    const cacheControl = variant.isEnded ? "no-cache" : session === "" ? caching : ownCacheControl(caching);
    sessions.sentMedia(viewer, live, replyText(exchange, shelf.media(live.output, variant), cacheControl));
  }

  async #sendSegment(
    request: ViewerRequest,
    live: LiveStream,
    variant: TsVariant,
    name: TsFileName & { kind: "ts-segment" },
  ): Promise<void> {
    const { sessions, shelf, waiting } = this.#options;
    const { exchange } = request;
    const isToCome = (): boolean => variant.isToCome(name.msn, name.key);
    // Players who come from an edge that is ahead ask for a segment before it is whole here. Nothing is left of who goes.
    if (isToCome()) {
      await new Promise<void>((ready) => waiting.hold(request, live, maxHoldMs, () => !isToCome(), ready));
    }
    const found = shelf.find(variant, name);
    if (found?.file) sessions.sent(live, replyFile(exchange, await found.file));
    else if (found) replyStatus(exchange, 302, { Location: found.uri, "Cache-Control": "max-age=1" });
    else replyStatus(exchange, 404);
  }
}
