import { Backoff } from "../flow/backoff.ts";
import { sleep } from "../time/sleep.ts";
import { openUrl, type OpenedSource, type OpenUrlOptions } from "./open-url.ts";
import type { PullPlan } from "./pull-plan.ts";
import { NoSuchStream, StreamNotReady } from "./source.ts";
import { UrlRounds } from "./url-rounds.ts";

export interface SourceSearchOptions extends OpenUrlOptions {
  /** Asked again before every attempt, so that a moved origin is found. */
  readonly plan: () => Promise<PullPlan | undefined>;
  readonly random?: () => number;
  /** Ends everything. */
  readonly signal: AbortSignal;
}

/** An answer that takes longer is not waited for while viewers wait for media: the last one stands. */
const askMs = 150;
/** When every URL at hand has failed there is more time. */
const askOthersMs = 1_000;
const pauseMs = { first: 500, cap: 3_000 };
/** For as long as viewers wait for a first answer, a stream that is coming is asked for however few tries are allowed. */
const notReadyMs = 8_000;

/** Finds a source for one stream: URL after URL, round after round, as the plan of that moment says. */
export class SourceSearch {
  readonly #options: SourceSearchOptions;
  #plan: PullPlan;
  /** URLs that stood behind the plan's own, where they were asked for. */
  #others: PullPlan | undefined;
  /** Carried from one search to the next, so that a source that hangs up at once is not opened in a loop. */
  readonly #triedMs = new Map<string, number>();
  #lastTryMs = Number.NEGATIVE_INFINITY;

  constructor(plan: PullPlan, options: SourceSearchOptions) {
    this.#plan = plan;
    this.#options = options;
  }

  /** As of the last time it was asked for. */
  get plan(): PullPlan {
    return this.#plan;
  }

  /** What named `url`. */
  fromOf(url: string): PullPlan["from"] {
    return !this.#plan.urls.includes(url) && this.#others?.urls.includes(url) ? this.#others.from : this.#plan.from;
  }

  /** The plan of this moment; where nothing answers in time, or nothing is known any more, the last one. */
  async ask(): Promise<PullPlan> {
    this.#plan = (await this.#inTime(this.#options.plan(), askMs)) ?? this.#plan;
    return this.#plan;
  }

  /** The plan has changed. Where nothing names the stream any more, the last one stands, and is not kept to for ever. */
  async replan(): Promise<void> {
    this.#plan = (await this.#options.plan()) ?? { ...this.#plan, isPersistent: false };
  }

  /**
   * The source a new stream begins with.
   * @throws {NoSuchStream} when every upstream of a round said so; the last failure when the plan allows no further try
   */
  first(): Promise<OpenedSource> {
    const rounds = new UrlRounds(this.#triedMs);
    const { urls, retryCount = 1 } = this.#plan;
    const most = urls.length * retryCount + 1;
    const { clock } = this.#options;
    const untilMs = clock.nowMs() + notReadyMs;
    const mayTry = (isComing: boolean): boolean => rounds.tries < most || (isComing && clock.nowMs() < untilMs);
    return this.#find(rounds, { isNew: true, mayTry });
  }

  /**
   * A source for a stream that lost `url` at `sinceMs`.
   * @param failed URLs that were tried in vain a moment ago, in their order
   * @throws the last failure when the plan allows no further try
   */
  again(
    { url, sinceMs, failed }: { readonly url: string; readonly sinceMs: number; readonly failed: readonly string[] },
    onTry: (attempt: number) => void,
  ): Promise<OpenedSource> {
    const rounds = new UrlRounds(this.#triedMs, failed.at(-1) ?? url);
    const mayTry = (): boolean => {
      onTry(rounds.tries);
      const { retryCount, isPersistent, urls } = this.#plan;
      if (retryCount === undefined || isPersistent) return this.mayGoOn(sinceMs);
      return retryCount > 0 && rounds.tries < urls.length * retryCount + 1;
    };
    return this.#find(rounds, { isNew: false, mayTry });
  }

  /** Whether viewers are still kept: the last try began within the grace time, and no count decides. */
  mayGoOn(sinceMs: number): boolean {
    const { isPersistent, retryCount, graceMs } = this.#plan;
    return isPersistent || (retryCount === undefined && this.#lastTryMs < sinceMs + graceMs);
  }

  /** Opens one URL while another source plays. */
  openBeside(url: string, signal: AbortSignal): Promise<OpenedSource> {
    return openUrl(url, this.#how(signal), this.#options);
  }

  /** Resolves when the URL answers for the stream. */
  async probe(url: string, signal: AbortSignal): Promise<void> {
    const { source } = await openUrl(url, { ...this.#how(signal), isProbe: true }, this.#options);
    await source.close({ code: "probed" });
  }

  #how(signal: AbortSignal): { signal: AbortSignal; ignoresSourceClock: boolean } {
    const either = AbortSignal.any([signal, this.#options.signal]);
    return { signal: either, ignoresSourceClock: this.#plan.ignoresSourceClock ?? false };
  }

  async #find(
    rounds: UrlRounds,
    { isNew, mayTry }: { readonly isNew: boolean; readonly mayTry: (isComing: boolean) => boolean },
  ): Promise<OpenedSource> {
    const { clock, random, signal } = this.#options;
    const backoff = new Backoff(pauseMs.first, pauseMs.cap, random);
    /** Of this round. */
    let failures: unknown[] = [];
    /** Why the last whole round failed: that nobody has the stream is said only when all of a round say so. */
    let verdict: unknown;
    const isComing = (): boolean => [...failures, verdict].some((thrown) => thrown instanceof StreamNotReady);
    // The plan a new stream begins with was asked for a moment ago.
    for (let isFresh = isNew; ; isFresh = false) {
      const url = await this.#next(rounds, isFresh, failures);
      if (!mayTry(isComing())) throw worstOf(failures) ?? verdict ?? failures.at(-1) ?? new Error("no try is allowed");
      if (url === undefined) {
        verdict = worstOf(failures) ?? failures.at(-1) ?? verdict;
        if (isNew && verdict !== undefined && isUnknown(verdict)) throw verdict;
        failures = [];
        rounds.again();
        await sleep(clock, backoff.next(), signal);
        signal.throwIfAborted();
        continue;
      }
      await sleep(clock, rounds.waitMs(url, clock.nowMs()), signal);
      signal.throwIfAborted();
      rounds.count(url, clock.nowMs());
      this.#lastTryMs = clock.nowMs();
      try {
        return await openUrl(url, this.#how(signal), this.#options);
      } catch (thrown) {
        signal.throwIfAborted();
        failures.push(thrown);
      }
    }
  }

  /** The next URL of this round: the plan's, then those behind it. */
  async #next(rounds: UrlRounds, isPlanFresh: boolean, failures: unknown[]): Promise<string | undefined> {
    const { urls, otherwise } = isPlanFresh ? this.#plan : await this.ask();
    const next = rounds.next(urls);
    if (next !== undefined || !otherwise) return next;
    const others = await this.#inTime(otherwise(), askOthersMs);
    if (others && !("kind" in others)) this.#others = others;
    // A registry that is silent does not deny the stream.
    else if (others?.kind !== "not-found")
      failures.push(new Error(others?.reason ?? "no other origin could be asked for"));
    return this.#others && rounds.next(this.#others.urls);
  }

  async #inTime<T>(asked: Promise<T | undefined>, ms: number): Promise<T | undefined> {
    const { clock, signal } = this.#options;
    const done = new AbortController();
    const either = AbortSignal.any([done.signal, signal]);
    try {
      return await Promise.race([asked.catch(() => undefined), sleep(clock, ms, either).then(() => undefined)]);
    } finally {
      done.abort();
    }
  }
}

/** One that leaves it open whether the stream exists; best one that says that it is coming. */
function worstOf(failures: readonly unknown[]): unknown {
  return failures.find((thrown) => thrown instanceof StreamNotReady) ?? failures.find((thrown) => !isUnknown(thrown));
}

const isUnknown = (thrown: unknown): boolean => thrown instanceof NoSuchStream;
