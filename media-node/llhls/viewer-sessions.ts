import { randomBytes } from "node:crypto";
import type { Admitted } from "../core/guest.ts";
import { streamKey as nameOf } from "../core/stream-name.ts";
import type { Histogram } from "../flow/histogram.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock } from "../time/clock.ts";
import { AdmittedSessions } from "./admitted-sessions.ts";
import type { LiveStream } from "./live-streams.ts";
import { replyRefusal } from "./reply.ts";
import { createViewerTokens, type ViewerTokens } from "./viewer-token.ts";
import type { ViewerRequest } from "./viewer-request.ts";
import { sawMedia, type Viewer } from "./viewers.ts";

export interface ViewerSessionsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Of a virtual host's viewers; undefined: nothing is signed. */
  readonly secretOf: (vhost: string) => string | undefined;
  readonly ttlMs?: number | undefined;
  readonly randomBytes?: ((count: number) => Uint8Array) | undefined;
  /** Who asks for no playlist for this long is gone. */
  readonly silentMs: number;
  readonly times?: { readonly join: Histogram; readonly firstMedia: Histogram } | undefined;
}

/** Longer `session` values are none of ours. */
const maxSessionLength = 128;
const defaultTtlMs = 12 * 3_600_000;

/** Who may have what, who was here, and what went to them: of all streams. */
export class ViewerSessions {
  readonly #options: ViewerSessionsOptions;
  readonly #tokens = new Map<string | undefined, ViewerTokens>();
  readonly #admitted: AdmittedSessions;
  #egressBytes = 0;

  constructor(options: ViewerSessionsOptions) {
    this.#options = options;
    this.#admitted = new AdmittedSessions(options.clock, options.silentMs);
  }

  /** Bytes of bodies handed to viewers' sockets. */
  get egressBytes(): number {
    return this.#egressBytes;
  }

  /** Whether nobody may have playlists of this virtual host without a token. */
  isGuarded(vhost: string): boolean {
    return this.#options.secretOf(vhost) !== undefined;
  }

  /** Whether this request may have a media playlist. @param live the stream, where it is here */
  mayHaveMedia(request: ViewerRequest, live?: LiveStream): boolean {
    return !this.isGuarded(request.target.vhost) || this.isGenuine(request, live);
  }

  /** Whether the request carries the token of a viewer this cluster admitted. Without a secret nothing proves that. */
  isGenuine({ session, target }: ViewerRequest, live?: LiveStream): boolean {
    const secret = this.#options.secretOf(target.vhost);
    const nowMs = this.#options.clock.wallMs();
    // Who was here a moment ago had a good signature, and watches on until a policy ends it.
    if (secret !== undefined && live?.viewers.has(session)) return !this.#tokensOf(secret).isOver(session, nowMs);
    return secret !== undefined && this.#tokensOf(secret).verify(session, nameOf(target), nowMs);
  }

  /** Answers who may not have a media playlist: 401, with what to do about it. */
  refuse({ exchange, session, target }: ViewerRequest): void {
    const tokens = this.#tokensOf(this.#options.secretOf(target.vhost));
    const isPast = tokens.isIssued(session, nameOf(target));
    replyRefusal(
      exchange,
      401,
      isPast ? "this viewer's time is over" : "this is for viewers whom the master playlist named",
    );
  }

  /** A returning viewer keeps the token it came with. */
  tokenFor(request: ViewerRequest, live: LiveStream, admission: Admitted | undefined): string {
    const { clock } = this.#options;
    const { session, target } = request;
    const tokens = this.#tokensOf(this.#options.secretOf(target.vhost));
    const isKnown = tokens.verify(session, nameOf(target), clock.wallMs());
    const token = isKnown ? session : tokens.issue(nameOf(target), clock.wallMs(), admission?.endsAtMs);
    const { app, stream, remoteAddress: viewer, trace } = target;
    if (!live.viewers.has(token)) this.#options.logger.info("llhls viewer came", { app, stream, viewer, trace });
    note(live, token, clock.nowMs(), viewer, trace);
    if (admission) this.#admitted.begin(token, admission);
    return token;
  }

  /** Ends an admission that {@link tokenFor} gave no token for. */
  settle(admission: Admitted): void {
    this.#admitted.settle(admission);
  }

  /**
   * @param isBlocking it is for media that is to come
   * @returns whom the request counts for, if for anybody
   */
  saw(live: LiveStream, { session, target }: ViewerRequest, nowMs: number, isBlocking: boolean): Viewer | undefined {
    if (session.length > maxSessionLength || session === "") return undefined;
    this.#admitted.saw(session);
    const viewer = note(live, session, nowMs, target.remoteAddress);
    if (viewer) viewer.isBlocking = isBlocking;
    return viewer;
  }

  /** A master playlist was sent. */
  sentMaster(request: ViewerRequest, live: LiveStream, bytes: number): void {
    this.sent(live, bytes);
    this.#options.times?.join.observe((this.#options.clock.nowMs() - request.beganMs) / 1_000);
  }

  /** A playlist with media was sent. */
  sentMedia(viewer: Viewer | undefined, live: LiveStream, bytes: number): void {
    this.sent(live, bytes);
    if (!viewer || viewer.hasMedia) return;
    const waitedMs = sawMedia(viewer, this.#options.clock.nowMs());
    if (waitedMs !== undefined) this.#options.times?.firstMedia.observe(waitedMs / 1_000);
  }

  /** The body of any answer was sent. */
  sent(live: LiveStream, bytes: number): void {
    this.#egressBytes += bytes;
    live.sentBytes += bytes;
  }

  close(): void {
    this.#admitted.close();
  }

  /** Secrets are as many as an operator writes down. */
  #tokensOf(secret: string | undefined): ViewerTokens {
    const known = this.#tokens.get(secret);
    if (known) return known;
    const made = createViewerTokens({
      ...(secret !== undefined && { secret }),
      ttlMs: this.#options.ttlMs ?? defaultTtlMs,
      randomBytes: this.#options.randomBytes ?? randomBytes,
    });
    this.#tokens.set(secret, made);
    return made;
  }
}

/** A newcomer is counted at once: nobody is sent to a node that seems empty, nor drained from one. */
function note(live: LiveStream, token: string, nowMs: number, address = "", trace?: string): Viewer | undefined {
  const before = live.viewers.size;
  const viewer = live.viewers.saw(token, nowMs, address, trace);
  if (live.viewers.size !== before) live.hold.viewers = live.viewers.size;
  return viewer;
}
