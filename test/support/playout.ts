/** What a player of live media holds before it shows the first picture, and again after a stall. */
const heldMs = 1_000;

/**
 * The buffer of a player: media goes in as it arrives and is shown at its own pace. When it is empty the picture stands still
 * until there is as much again as at the start.
 */
export class Playout {
  /** Ms of `performance.now()` at which each stall began. */
  readonly stalls: number[] = [];
  #filledMs = 0;
  /** When what it holds will have been shown; undefined while it fills. */
  #endsMs: number | undefined;
  /** The least it held when more came, since the last call of {@link restart}. */
  leastMs = Number.POSITIVE_INFINITY;

  /** So much media is complete. */
  add(mediaMs: number, nowMs: number): void {
    this.look(nowMs);
    if (this.#endsMs !== undefined) {
      this.leastMs = Math.min(this.leastMs, this.#endsMs - nowMs);
      this.#endsMs += mediaMs;
      return;
    }
    this.#filledMs += mediaMs;
    if (this.#filledMs < heldMs) return;
    this.#endsMs = nowMs + this.#filledMs;
    this.#filledMs = 0;
  }

  /** To be called also when nothing came. */
  look(nowMs: number): void {
    if (this.#endsMs === undefined || nowMs <= this.#endsMs) return;
    this.stalls.push(this.#endsMs);
    this.#endsMs = undefined;
  }

  /** Forgets what happened before. */
  restart(): void {
    this.stalls.length = 0;
    this.leastMs = Number.POSITIVE_INFINITY;
  }
}
