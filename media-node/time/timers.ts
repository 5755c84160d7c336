import { every, type Clock, type Timer } from "./clock.ts";

/** The timers of one owner: they end with it, and none begins after it. */
export class Timers {
  readonly #clock: Clock;
  readonly #running = new Set<Timer>();
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  after(delayMs: number, fire: () => void): void {
    if (this.#isClosed) return;
    const timer = this.#clock.after(delayMs, () => {
      this.#running.delete(timer);
      fire();
    });
    this.#running.add(timer);
  }

  every(periodMs: number, tick: () => void): void {
    if (!this.#isClosed) this.#running.add(every(this.#clock, periodMs, tick));
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#running) timer.cancel();
    this.#running.clear();
  }
}
