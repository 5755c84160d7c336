import type { CloseReason } from "../flow/close-group.ts";
import type { Clock } from "../time/clock.ts";
import { sleep } from "../time/sleep.ts";
import type { OpenedSource } from "./open-url.ts";
import { Understudy } from "./understudy.ts";

export interface FailbackOptions {
  readonly clock: Clock;
  /** 0 ≤ x < 1: nodes that lost the same origin do not ask for it in step. */
  readonly random: () => number;
  /** Between probes. */
  readonly intervalMs: number;
  /** How long the first source must have played before it is trusted. */
  readonly settleMs: number;
  /** The first URL as of now; undefined when there is nothing to go back to. */
  readonly target: () => Promise<string | undefined>;
  /** Resolves when the URL answers for the stream; plays nothing. */
  readonly probe: (url: string, signal: AbortSignal) => Promise<void>;
  readonly open: (url: string, signal: AbortSignal) => Promise<OpenedSource>;
  /** Whether it could take over this very moment without a picture missing. */
  readonly joins: (understudy: Understudy) => boolean;
  /** The first source is back: it is the caller's now. */
  readonly onReady: (understudy: Understudy) => void;
  readonly onStandDown: (reason: CloseReason) => void;
}

/** A newcomer that finds no place to cut within this time after it settled takes over at its next key frame. */
const cutPatienceMs = 10_000;
/** So long may a source that is being tried fall silent. */
const silenceMs = 2_000;

/**
 * The way back to the first source: asks now and then whether it answers, opens it beside the one that plays, lets it
 * prove itself, and offers it at a moment when no picture is lost. Nothing waits for any of it.
 */
export class Failback {
  readonly #options: FailbackOptions;
  readonly #abort = new AbortController();
  #understudy: Understudy | undefined;
  #resolve: (() => void) | undefined;

  constructor(options: FailbackOptions) {
    this.#options = options;
    void this.#run();
  }

  /** The first source is open, and has not proved itself yet. */
  get isTrying(): boolean {
    return this.#understudy !== undefined;
  }

  /** Hands it over, settled or not. */
  take(): Understudy | undefined {
    const understudy = this.#understudy;
    if (!understudy?.isPlayable) return undefined;
    this.#letTake();
    return understudy;
  }

  /** The source that plays has put out a sample: this may be the moment. */
  consider(): void {
    if (this.#understudy && this.#isSettled(this.#understudy)) this.#offer(this.#understudy);
  }

  close(reason: CloseReason): void {
    this.#abort.abort();
    this.#drop(reason);
    this.#resolve?.();
  }

  #drop(reason: CloseReason): void {
    void this.#understudy?.close(reason).catch(() => {});
    this.#understudy = undefined;
  }

  #letTake(): void {
    this.#understudy = undefined;
    this.close({ code: "taken" });
  }

  async #run(): Promise<void> {
    const { clock, random, intervalMs, target, probe, open } = this.#options;
    const { signal } = this.#abort;
    while (!signal.aborted) {
      await sleep(clock, intervalMs * (0.9 + random() / 5), signal);
      if (signal.aborted) return;
      try {
        const url = await target();
        if (url === undefined) continue;
        await probe(url, signal);
        if (signal.aborted) return;
        const opened = await open(url, signal);
        if (signal.aborted) return await opened.source.close({ code: "not-needed" });
        await this.#prove(opened);
      } catch {
        // Counted and logged where it was opened.
      }
    }
  }

  /** Resolves when the source was taken, or is of no use. */
  async #prove(opened: OpenedSource): Promise<void> {
    const { clock, onStandDown } = this.#options;
    const { signal } = this.#abort;
    const gone = new Promise<void>((resolve) => (this.#resolve = resolve));
    const fate: { ended?: CloseReason } = {};
    const onChange = (): void => {
      if (signal.aborted) return;
      if (understudy.ended) {
        fate.ended = understudy.ended;
        this.#resolve?.();
      } else if (this.#isSettled(understudy)) this.#offer(understudy);
    };
    const understudy = new Understudy(opened, { clock, onChange });
    this.#understudy = understudy;
    understudy.start();
    const isDead = (): boolean => clock.nowMs() - (understudy.lastSampleMs ?? understudy.openedMs) > silenceMs;
    while (!signal.aborted && !fate.ended && !isDead()) await Promise.race([gone, sleep(clock, silenceMs, signal)]);
    if (signal.aborted) return;
    const reason = fate.ended ?? { code: "no-input" };
    this.#drop(reason);
    onStandDown(reason);
  }

  #isSettled({ firstSampleMs }: Understudy): boolean {
    return firstSampleMs !== undefined && this.#options.clock.nowMs() - firstSampleMs >= this.#options.settleMs;
  }

  #offer(understudy: Understudy): void {
    if (!understudy.isPlayable || this.#abort.signal.aborted) return;
    const { clock, settleMs, joins, onReady } = this.#options;
    const isLate = clock.nowMs() - understudy.firstSampleMs! > settleMs + cutPatienceMs;
    if (!joins(understudy) && !isLate) return;
    this.#letTake();
    onReady(understudy);
  }
}
