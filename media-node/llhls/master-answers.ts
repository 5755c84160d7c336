import type { Admitted, AdmitViewer, ViewerTarget } from "../core/guest.ts";
import { choiceOf } from "./directives.ts";
import type { LlHlsConfig } from "./ll-hls-config.ts";
import type { LiveStream } from "./live-streams.ts";
import { masterPlaylist, variantsOf } from "./master-playlist.ts";
import { cacheControlOf, ownCacheControl, PreparedText, replyRefusal, replyStatus, replyText } from "./reply.ts";
import { tracedExchange } from "./traced-exchange.ts";
import { listedSubtitles } from "./subtitle-renditions.ts";
import type { TrackOutput } from "./track-output.ts";
import type { TsShelf } from "./ts-shelf.ts";
import type { ViewerRequest } from "./viewer-request.ts";
import type { ViewerSessions } from "./viewer-sessions.ts";
import type { WaitingRoom } from "./waiting-room.ts";

export interface MasterAnswersOptions {
  readonly config: LlHlsConfig;
  readonly admit: AdmitViewer;
  readonly sessions: ViewerSessions;
  readonly waiting: WaitingRoom;
  /** Of HLS version 3, where the publisher speaks that. */
  readonly shelf: TsShelf | undefined;
  /** The playlist that a target is for, if it is for a master. */
  readonly playlistOf: (target: ViewerTarget) => string | undefined;
}

/** Answers where viewers begin: who may watch, which variants there are, and the token for all that follows. */
export class MasterAnswers {
  readonly #options: MasterAnswersOptions;

  constructor(options: MasterAnswersOptions) {
    this.#options = options;
  }

  async answer(request: ViewerRequest, playlist: string): Promise<void> {
    const { trace } = request.target;
    const asked = trace === undefined ? request : { ...request, exchange: tracedExchange(request.exchange, trace) };
    const { admit, playlistOf, sessions } = this.#options;
    const { exchange } = asked;
    if (sessions.isGenuine(asked)) return this.#send(asked, playlist);
    const admission = await admit(asked.target, "llhls");
    if (!admission.isAdmitted) return replyRefusal(exchange, admission.status, admission.reason);
    const { target } = admission;
    const given = (target && playlistOf(target)) ?? playlist;
    try {
      await this.#send(target ? { ...asked, target } : asked, given, admission);
    } finally {
      sessions.settle(admission);
    }
  }

  async #send(request: ViewerRequest, playlist: string, admission?: Admitted): Promise<void> {
    const { config, sessions, shelf, waiting } = this.#options;
    const { exchange, target } = request;
    // OvenPlayer asks again after 202, and after no other status.
    const live = await waiting.playable(request, () => replyStatus(exchange, 202, { "Retry-After": "1" }));
    if (!live) return;
    const { description } = live.output.stream;
    const { hasDefaultPlaylist = true, maxAge } = config;
    const packaging = shelf ? "mpegts" : "fmp4";
    const variants = variantsOf(playlist, description, (id) => withMedia(live, id), hasDefaultPlaylist, packaging);
    if (!variants) {
      replyStatus(exchange, 404);
      return;
    }
    const token = sessions.tokenFor(request, live, admission);
    const childQuery = `session=${token}${passedOn(target)}`;
    const childPath = admission?.target && { childPath: `/${target.app}/${target.stream}/` };
    const { tracks } = description;
    const about = { tracks, childQuery, ...childPath, subtitles: listedSubtitles(live.output, playlist, tracks) };
    const text = shelf ? await shelf.master(live.output, variants, about) : masterPlaylist(variants, about);
    const caching = cacheControlOf(maxAge?.masterPlaylist, "no-cache, no-store");
    // The token in it opens the stream: a cache must not give it to who was not admitted.
    const cacheControl = sessions.isGuarded(target.vhost) ? ownCacheControl(caching) || "private" : caching;
    sessions.sentMaster(request, live, replyText(exchange, new PreparedText(text), cacheControl));
  }
}

/**
 * VLC 3 begins with the first segment of a list though it is a gap, and would take what it is led to instead a second time,
 * under its own name (docs/decisions/ll-hls-segments.md).
 */
const knowsNoGaps = /\bVLC\//;

/** What a viewer asked of the master holds for the playlists it names. */
function passedOn({ query, userAgent = "" }: ViewerTarget): string {
  const keys = ["_HLS_legacy", "_HLS_rewind", "_HLS_gaps"] as const;
  const passed = keys.map((key) => {
    const choice = choiceOf(query, key);
    return choice === undefined ? "" : `&${key}=${choice ? "YES" : "NO"}`;
  });
  if (!query.has("_HLS_gaps") && knowsNoGaps.test(userAgent)) passed.push("&_HLS_gaps=NO");
  return passed.join("");
}

/** A track's output if it has anything to offer; a silent one is left out of the choice. */
function withMedia(live: LiveStream, trackId: number): TrackOutput | undefined {
  const track = live.output.track(trackId);
  const isOffered = live.isPlayable() ? track?.lastCompleteMsn !== undefined : track?.hasMedia;
  return isOffered ? track : undefined;
}
