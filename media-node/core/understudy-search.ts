import type { CloseReason } from "../flow/close-group.ts";
import type { Clock, Timer } from "../time/clock.ts";
import type { OpenedSource } from "./open-url.ts";
import { Understudy } from "./understudy.ts";

export interface UnderstudySearchOptions {
  readonly clock: Clock;
  /** In this order; at least one. */
  readonly urls: readonly string[];
  readonly open: (url: string, signal: AbortSignal) => Promise<OpenedSource>;
  /** How long a source may take to its first key frame. */
  readonly patienceMs: number;
  /** There is a source that could take over; called again when another takes its place. */
  readonly onReady: () => void;
  /** None of the URLs gave one. */
  readonly onFailed: () => void;
}

/** Looks for a second source while the first is still held: opens URL after URL until one plays, and keeps it playing. */
export class UnderstudySearch {
  readonly #options: UnderstudySearchOptions;
  readonly #abort = new AbortController();
  #understudy: Understudy | undefined;

  constructor(options: UnderstudySearchOptions) {
    this.#options = options;
    void this.#search();
  }

  /** A source that could take over now. */
  get ready(): Understudy | undefined {
    return this.#understudy?.isPlayable ? this.#understudy : undefined;
  }

  /** Hands the source over; what is left of the search ends. */
  take(): Understudy | undefined {
    const { ready } = this;
    if (!ready) return undefined;
    this.#understudy = undefined;
    this.close({ code: "taken" });
    return ready;
  }

  close(reason: CloseReason): void {
    this.#abort.abort();
    this.#drop(reason);
  }

  #drop(reason: CloseReason): void {
    void this.#understudy?.close(reason).catch(() => {});
    this.#understudy = undefined;
  }

  async #search(): Promise<void> {
    const { signal } = this.#abort;
    for (const url of this.#options.urls) {
      try {
        const opened = await this.#options.open(url, signal);
        if (signal.aborted) return await opened.source.close({ code: "not-needed" });
        await this.#playUntilGone(opened);
      } catch {
        // Counted and logged where it was opened.
      }
      if (signal.aborted) return;
    }
    this.#options.onFailed();
  }

  /** Resolves when the source is of no use any more. */
  #playUntilGone(opened: OpenedSource): Promise<void> {
    const { clock, patienceMs, onReady } = this.#options;
    const { signal } = this.#abort;
    return new Promise((resolve) => {
      let isReady = false;
      const timer: Timer = clock.after(patienceMs, () => {
        if (!isReady) giveUp({ code: "no-input" });
      });
      const leave = (): void => {
        timer.cancel();
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const giveUp = (reason: CloseReason): void => {
        this.#drop(reason);
        leave();
      };
      signal.addEventListener("abort", leave, { once: true });
      const onChange = (): void => {
        if (signal.aborted) return;
        if (understudy.ended) return giveUp(understudy.ended);
        if (isReady || !understudy.isPlayable) return;
        isReady = true;
        onReady();
      };
      const understudy = new Understudy(opened, { clock, onChange });
      this.#understudy = understudy;
      understudy.start();
    });
  }
}
