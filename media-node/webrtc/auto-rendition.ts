import type { PlayableRendition } from "./renditions.ts";

/** What is known of a viewer's path when a rendition is chosen. */
export interface PathConditions {
  readonly nowMs: number;
  /** The viewer's own estimate (REMB), bits per second; 0 = none yet. */
  readonly estimate: number;
  /** Share of packets it reports lost, 0…1. */
  readonly lossShare: number;
}

/** What to do for the next second. */
export type AutoDecision =
  | { readonly kind: "stay" }
  | { readonly kind: "switch"; readonly rendition: PlayableRendition }
  /** Send this much in all, so that the viewer's estimate can rise above what the current rendition needs. */
  | { readonly kind: "probe"; readonly bitsPerSecond: number };

/** After going up, and at the start, estimates need this long to settle. */
const settleMs = 10_000;
/** A rendition that was given up is tried again after this, times how often it was given up. */
const retryMs = 10_000;
const heavyLoss = 0.1;
const lightLoss = 0.02;

/**
 * Chooses among renditions for one viewer. Down when the estimate does not carry the current one and is not rising; up
 * when it carries the next, which a probe has to find out first: receivers never estimate much more than they get.
 */
export class AutoRendition {
  /** Least bits first. */
  readonly #ladder: readonly PlayableRendition[];
  readonly #givenUp = new Map<PlayableRendition, { count: number; atMs: number }>();
  #current: PlayableRendition;
  #settledMs: number;
  #probedMs: number;
  #lastEstimate = 0;

  constructor(renditions: readonly PlayableRendition[], current: PlayableRendition, nowMs: number) {
    this.#ladder = renditions.toSorted((a, b) => bitrateOf(a) - bitrateOf(b));
    this.#current = current;
    this.#settledMs = nowMs + settleMs;
    this.#probedMs = nowMs;
  }

  /** Call once a second. A decision to switch counts as done. */
  decide({ nowMs, estimate, lossShare }: PathConditions): AutoDecision {
    const isRising = estimate > this.#lastEstimate * 1.02;
    this.#lastEstimate = estimate;
    const position = this.#ladder.indexOf(this.#current);
    const bitrate = bitrateOf(this.#current);
    if (bitrate === 0) return { kind: "stay" };
    const isTooMuch = estimate > 0 && 1.1 * estimate <= bitrate && !isRising && nowMs >= this.#settledMs;
    if (position > 0 && (isTooMuch || (lossShare > heavyLoss && nowMs >= this.#settledMs))) {
      return this.#goDown(position, estimate, nowMs);
    }
    const next = this.#ladder[position + 1];
    if (!next || lossShare > lightLoss || nowMs < this.#retryAt(next)) return { kind: "stay" };
    if (0.75 * estimate > bitrate && estimate >= bitrateOf(next)) return this.#goTo(next, nowMs);
    if (nowMs - this.#probedMs < settleMs) return { kind: "stay" };
    this.#probedMs = nowMs;
    return { kind: "probe", bitsPerSecond: bitrateOf(next) * 1.2 };
  }

  #goDown(position: number, estimate: number, nowMs: number): AutoDecision {
    const { count } = this.#givenUp.get(this.#current) ?? { count: 0 };
    this.#givenUp.set(this.#current, { count: count + 1, atMs: nowMs });
    const lower = this.#ladder.slice(0, position);
    return this.#goTo(lower.findLast((rendition) => bitrateOf(rendition) <= estimate) ?? lower[0]!, nowMs);
  }

  #goTo(rendition: PlayableRendition, nowMs: number): AutoDecision {
    this.#current = rendition;
    this.#settledMs = nowMs + settleMs;
    this.#probedMs = nowMs;
    return { kind: "switch", rendition };
  }

  #retryAt(rendition: PlayableRendition): number {
    const givenUp = this.#givenUp.get(rendition);
    return givenUp ? givenUp.atMs + givenUp.count * retryMs : Number.NEGATIVE_INFINITY;
  }
}

/** As announced; 0 where the source says nothing, and then nothing can be chosen. */
function bitrateOf({ video, audio }: PlayableRendition): number {
  return video && video.bitrate === 0 ? 0 : (video?.bitrate ?? 0) + (audio?.bitrate ?? 0);
}
