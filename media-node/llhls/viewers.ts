import type { StreamHolder } from "../core/stream-hub.ts";
import { shortHash } from "./short-hash.ts";

/** A viewer who waits for each part counts until this long after the last request: longer than any is held. */
const blockingMs = 10_000;
/** Viewers remembered per stream; more are served but not counted one by one. */
const maxRemembered = 100_000;
/** Viewers that an operator sent away and that may not come back with the same token. */
const maxEnded = 10_000;

/** Who watches, as long as this is so. */
export interface Viewer {
  readonly address: string;
  /** Of the request for its master playlist; undefined for who came with the token of another node. */
  readonly trace: string | undefined;
  readonly sinceMs: number;
  seenMs: number;
  hasMedia: boolean;
  /** Whether its last request waited for media: then it asks again at once, and others once a segment. */
  isBlocking: boolean;
  /** As an operator sees it; made when somebody asks. */
  id?: string;
}

/** As the log names it; `watchedMs` from its first request to its last. */
type WhoLeft = Readonly<Record<"viewer" | "trace" | "reason", string> & Record<"watchedMs", number>>;

/** Who watches one stream on this node, by session token. */
export class Viewers {
  readonly #viewers = new Map<string, Viewer>();
  readonly #ended = new Set<string>();
  readonly #silentMs: number;
  readonly #onLeft: (who: WhoLeft) => void;

  /**
   * @param silentMs who does not wait for media and asks for nothing for this long is gone
   * @param onLeft told of viewers whose trace id is known, when they are gone
   */
  constructor(silentMs: number, onLeft: (who: WhoLeft) => void = () => {}) {
    this.#silentMs = silentMs;
    this.#onLeft = onLeft;
  }

  /** True when this token was here lately, and so was checked already. */
  has(token: string): boolean {
    return this.#viewers.has(token);
  }

  /** Of those remembered, who may have gone since {@link count}. */
  get size(): number {
    return this.#viewers.size;
  }

  /** True when an operator sent this viewer away. */
  isEnded(token: string): boolean {
    return this.#ended.size > 0 && this.#ended.has(token);
  }

  /** @returns undefined when no more are remembered */
  saw(token: string, nowMs: number, address = "", trace?: string): Viewer | undefined {
    const known = this.#viewers.get(token);
    if (known) known.seenMs = nowMs;
    else if (this.#viewers.size < maxRemembered) {
      const viewer = { address, trace, sinceMs: nowMs, seenMs: nowMs, hasMedia: false, isBlocking: false };
      this.#viewers.set(token, viewer);
      return viewer;
    }
    return known;
  }

  /** A viewer was sent to another node. */
  moved(token: string): void {
    this.#forget(token, "moved");
  }

  /** Forgets who is gone. @param silentMs who asked for nothing for this long, in place of what is usual */
  count(nowMs: number, silentMs?: number): number {
    for (const [token, { seenMs, isBlocking }] of this.#viewers) {
      if (nowMs - seenMs > (silentMs ?? (isBlocking ? blockingMs : this.#silentMs))) this.#forget(token, "gone");
    }
    return this.#viewers.size;
  }

  /** Everybody is gone: the stream is. */
  close(): void {
    for (const token of this.#viewers.keys()) this.#forget(token, "stream-gone");
  }

  /** As an operator sees them: the id tells nothing of the token, and is the same at every node. */
  list(): StreamHolder[] {
    return [...this.#viewers].map(([token, viewer]) => ({
      id: (viewer.id ??= shortHash(`viewer ${token}`)),
      address: viewer.address,
      sinceMs: viewer.sinceMs,
      end: () => this.#end(token),
    }));
  }

  #forget(token: string, reason: string): void {
    const viewer = this.#viewers.get(token);
    if (!viewer) return;
    this.#viewers.delete(token);
    const { address, trace, sinceMs, seenMs } = viewer;
    if (trace !== undefined) this.#onLeft({ viewer: address, trace, watchedMs: Math.round(seenMs - sinceMs), reason });
  }

  #end(token: string): void {
    this.#forget(token, "sent-away");
    if (this.#ended.size >= maxEnded) this.#ended.delete(this.#ended.values().next().value!);
    this.#ended.add(token);
  }
}

/** To be told of every playlist with media. @returns at the viewer's first one, how long it waited since it was first seen */
export function sawMedia(viewer: Viewer, nowMs: number): number | undefined {
  if (viewer.hasMedia) return undefined;
  viewer.hasMedia = true;
  return nowMs - viewer.sinceMs;
}
