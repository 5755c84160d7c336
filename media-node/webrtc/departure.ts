import type { Clock, Timer } from "../time/clock.ts";

const stepMs = 50;

/**
 * Viewers leave one after the other: each comes back somewhere else at once and shakes hands there, which would hold everybody
 * up if they came together.
 */
export class Departure {
  readonly #clock: Clock;
  #timer: Timer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * @param leavers each makes one viewer go; looked at as their turn comes
   * @param count about how many there are
   * @param withinMs all of them are gone by then; 0 = now
   */
  begin(leavers: Iterator<() => void>, count: number, withinMs: number): void {
    this.cancel();
    const atOnce = withinMs < stepMs ? Number.POSITIVE_INFINITY : Math.ceil(count / Math.floor(withinMs / stepMs));
    const step = (): void => {
      for (let left = Math.max(1, atOnce); left > 0; left--) {
        const next = leavers.next();
        if (next.done) return;
        next.value();
      }
      this.#timer = this.#clock.after(stepMs, step);
    };
    step();
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
