import type { Clock, Timer } from "../time/clock.ts";

export interface SilenceWatchOptions {
  readonly clock: Clock;
  /** When media last came, on the clock that never jumps. */
  readonly lastMediaMs: () => number;
  /** Silence after which a source is given up. */
  readonly timeoutMs: number;
  /** Half of the time has passed. Once for each silence. */
  readonly onSuspicion: () => void;
  /** All of it has. Once for each silence. */
  readonly onSilence: () => void;
  /** Media came again after one of the two; noticed within the timeout. */
  readonly onMedia: () => void;
}

/**
 * A process that stood still finds its timers due before it has read what came meanwhile: it looks again after this.
 */
const secondLookMs = 20;

/** Watches one source for silence, with one timer that is set when something is due and not by every sample. */
export class SilenceWatch {
  readonly #options: SilenceWatchOptions;
  readonly #startedMs: number;
  #timer: Timer | undefined;
  /** Silences are told apart by the media before them. */
  #suspectedAfterMs: number | undefined;
  #overdueAfterMs: number | undefined;
  #isSecondLook = false;

  constructor(options: SilenceWatchOptions) {
    this.#options = options;
    this.#startedMs = options.clock.nowMs();
    this.#schedule();
  }

  /** How long nothing has come. */
  get silenceMs(): number {
    return this.#options.clock.nowMs() - this.#lastMs;
  }

  get isOverdue(): boolean {
    return this.silenceMs >= this.#options.timeoutMs;
  }

  close(): void {
    this.#timer?.cancel();
  }

  get #lastMs(): number {
    return Math.max(this.#startedMs, this.#options.lastMediaMs());
  }

  #schedule(): void {
    const { clock, timeoutMs } = this.#options;
    const lastMs = this.#lastMs;
    const isSuspected = this.#suspectedAfterMs === lastMs;
    // After the silence was told, media may come again, and silence after it.
    const dueMs = this.#overdueAfterMs === lastMs ? timeoutMs : isSuspected ? timeoutMs : timeoutMs / 2;
    const delayMs = this.#overdueAfterMs === lastMs ? timeoutMs : lastMs + dueMs - clock.nowMs();
    this.#timer = clock.after(Math.max(1, delayMs), () => this.#look());
  }

  #look(): void {
    const lastMs = this.#lastMs;
    const { clock, timeoutMs, onSuspicion, onSilence, onMedia } = this.#options;
    if (this.#suspectedAfterMs !== undefined && this.#suspectedAfterMs !== lastMs) {
      this.#suspectedAfterMs = undefined;
      onMedia();
    }
    const isDue = this.silenceMs >= (this.#suspectedAfterMs === lastMs ? timeoutMs : timeoutMs / 2);
    if (!isDue || this.#overdueAfterMs === lastMs) {
      this.#isSecondLook = false;
      return this.#schedule();
    }
    if (!this.#isSecondLook) {
      this.#isSecondLook = true;
      this.#timer = clock.after(secondLookMs, () => this.#look());
      return;
    }
    this.#isSecondLook = false;
    const isSilent = this.isOverdue;
    this.#suspectedAfterMs = lastMs;
    if (isSilent) this.#overdueAfterMs = lastMs;
    this.#schedule();
    if (isSilent) onSilence();
    else onSuspicion();
  }
}
