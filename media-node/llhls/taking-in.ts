import { every, type Clock, type Timer } from "../time/clock.ts";
import type { StreamOutput } from "./stream-output.ts";

const lookEveryMs = 50;
/** Looks in a row without more media than its own pace brings. */
const calmLooks = 2;
/** What an origin remembers is here within this time. */
const longestMs = 2_000;

/**
 * Whether what an origin remembers is still coming in: it comes at once, what follows at its own pace. A list that is shown
 * meanwhile ends earlier than those of other edges, and may begin later.
 */
export class TakingIn {
  readonly #output: StreamOutput;
  readonly #partMs: number;
  readonly #onOver: () => void;
  readonly #timer: Timer;
  #leftLooks = longestMs / lookEveryMs;
  #calm = 0;
  #newestMs: number | undefined;
  #isOver = false;

  constructor(output: StreamOutput, partMs: number, clock: Clock, onOver: () => void) {
    this.#output = output;
    this.#partMs = partMs;
    this.#onOver = onOver;
    this.#timer = every(clock, lookEveryMs, () => this.#look());
  }

  get isOver(): boolean {
    return this.#isOver || this.#output.ended !== undefined;
  }

  close(): void {
    this.#timer.cancel();
  }

  #look(): void {
    const before = this.#newestMs;
    this.#newestMs = this.#output.newestMs;
    // Live media comes a part at a time.
    const isCalm = before !== undefined && this.#newestMs! - before <= 1.5 * this.#partMs;
    this.#calm = isCalm ? this.#calm + 1 : 0;
    if (this.#calm < calmLooks && --this.#leftLooks > 0) return;
    this.#isOver = true;
    this.#timer.cancel();
    this.#onOver();
  }
}
