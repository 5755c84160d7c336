import { Backoff } from "../flow/backoff.ts";
import type { CloseReason } from "../flow/close-group.ts";
import { messageOf } from "../flow/errors.ts";
import { withoutSecrets, type Logger } from "../flow/logger.ts";
import type { Clock } from "../time/clock.ts";
import { sleep } from "../time/sleep.ts";
import { Failback } from "./failback.ts";
import type { OpenedSource } from "./open-url.ts";
import type { PullPlan } from "./pull-plan.ts";
import { SilenceWatch } from "./silence-watch.ts";
import type { Source, SourceSink } from "./source.ts";
import { SourceSearch, type SourceSearchOptions } from "./source-search.ts";
import { SourceSplice } from "./source-splice.ts";
import { UnderstudySearch } from "./understudy-search.ts";
import type { StreamName } from "./stream-name.ts";
import { Stream, type StreamDescription } from "./stream.ts";
import type { Understudy } from "./understudy.ts";

export interface PullOptions extends Omit<SourceSearchOptions, "signal"> {
  readonly recentMs?: number;
}

export type PullPhase =
  | { phase: "connecting"; attempt: number }
  | { phase: "live"; url: string; sinceMs: number }
  | { phase: "lost"; attempt: number; sinceMs: number }
  | { phase: "closed"; reason: CloseReason };

/** A probe is a connect: more of them do not bring a source back sooner. */
const leastIntervalMs = 100;
/** A first source that is lost again this soon after it was returned to was not to be trusted. */
const flapMs = 60_000;
/** Nobody waits longer for a first source to prove itself, however often it flapped. */
const maxSettleMs = 120_000;
/** A source that often falls silent for a moment does not make us open a second one each time. */
const suspicionBackoffMs = { first: 10_000, cap: 300_000 };

/**
 * One pulled stream: finds a working URL, feeds the {@link Stream}, and when the source ends or falls silent goes on
 * with the next URL while the stream and its viewers stay.
 */
export class Pull {
  readonly name: StreamName;
  readonly #options: PullOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #abort = new AbortController();
  readonly #search: SourceSearch;
  readonly #suspicions: Backoff;
  #state: PullPhase = { phase: "connecting", attempt: 0 };
  #source: Source | undefined;
  #url = "";
  #openMs = 0;
  #splice: SourceSplice | undefined;
  #stream: Stream | undefined;
  #watch: SilenceWatch | undefined;
  #understudySearch: UnderstudySearch | undefined;
  #failback: Failback | undefined;
  #suspectAgainMs = Number.NEGATIVE_INFINITY;
  #returnedMs = Number.NEGATIVE_INFINITY;
  #flaps = 0;
  #failovers = 0;
  #failbacks = 0;
  #closing: Promise<void> | undefined;

  private constructor(name: StreamName, plan: PullPlan, options: PullOptions) {
    this.name = name;
    this.#options = options;
    this.#clock = options.clock;
    const { logger, trace } = options;
    this.#log = logger.with({ app: name.app, stream: name.stream, ...(trace !== undefined && { trace }) });
    const shown = (): StreamDescription | undefined => this.#stream?.description;
    this.#search = new SourceSearch(plan, { ...options, shown, logger: this.#log, signal: this.#abort.signal });
    this.#suspicions = new Backoff(suspicionBackoffMs.first, suspicionBackoffMs.cap, options.random);
  }

  /**
   * Pulls from the first URL that works, trying all of them `retryCount` times and once more.
   * @throws {NoSuchStream} when every upstream said so
   * @throws the last attempt's error otherwise
   */
  static async open(name: StreamName, plan: PullPlan, options: PullOptions, signal?: AbortSignal): Promise<Pull> {
    const pull = new Pull(name, plan, options);
    pull.#log.info("pull begins", { from: plan.from });
    const onAbort = (): void => pull.#abort.abort();
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted) onAbort();
    try {
      pull.#adopt(await pull.#search.first());
    } catch (thrown) {
      await pull.close({ code: "not-opened", message: messageOf(thrown) });
      throw thrown;
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
    return pull;
  }

  get stream(): Stream {
    if (!this.#stream) throw new Error("a pull has its stream once it is open");
    return this.#stream;
  }

  get state(): PullPhase {
    return this.#state;
  }

  /** As of the last time it was asked for. */
  get plan(): PullPlan {
    return this.#search.plan;
  }

  /**
   * Asks for the plan again: its times hold from now on, its URLs from the next attempt on. Where nothing names the stream
   * any more, it goes on until its source ends or nobody watches, and is no longer persistent.
   */
  async replan(): Promise<void> {
    await this.#search.replan();
    if (this.#closing || this.#state.phase !== "live") return;
    this.#watch?.close();
    this.#watch = this.#newWatch();
    this.#seekFailback();
  }

  /** What named the URL in use, or last in use. */
  get from(): PullPlan["from"] {
    return this.#search.fromOf(this.#url);
  }

  /** Milliseconds it took to connect to the source in use, and then to have it answer all that was asked. */
  get openTimes(): { readonly connectMs: number; readonly answerMs: number } {
    const connectMs = this.#source?.connectMs ?? 0;
    return { connectMs, answerMs: Math.max(0, this.#openMs - connectMs) };
  }

  /** See {@link Source.hopMs}; of the source in use. */
  get hopMs(): number | undefined {
    return this.#source?.hopMs;
  }

  /** Sources lost. */
  get failovers(): number {
    return this.#failovers;
  }

  /** Returns to the first URL. */
  get failbacks(): number {
    return this.#failbacks;
  }

  /** Lets go of the source and ends the stream for its readers; resolves when nothing is held any more. */
  close(reason: CloseReason): Promise<void> {
    this.#closing ??= this.#closeNow(reason);
    return this.#closing;
  }

  async #closeNow(reason: CloseReason): Promise<void> {
    this.#state = { phase: "closed", reason };
    this.#abort.abort();
    this.#stopWatching(reason);
    const source = this.#source;
    this.#source = undefined;
    this.#stream?.close(reason);
    await source?.close(reason);
  }

  /** A source that was just opened feeds the stream. What cannot be taken over does not stay open. */
  #adopt(opened: OpenedSource): void {
    try {
      this.#feedFrom(opened);
      opened.source.start(this.#sinkFor(opened.source));
    } catch (thrown) {
      if (this.#source === opened.source) this.#source = undefined;
      this.#stopWatching({ code: "not-usable" });
      void opened.source.close({ code: "not-usable", message: messageOf(thrown) }).catch(() => {});
      throw thrown;
    }
  }

  /** A source that played beside the other takes over, with what it has sent. */
  #promote(understudy: Understudy, reason: CloseReason): void {
    const splice = this.#splice!;
    const outageMs = this.#clock.nowMs() - this.#stream!.stats.lastSampleMs;
    const held = understudy.held(splice.isOnSameClock(understudy.description) ? undefined : outageMs);
    const before = this.#source;
    this.#feedFrom(understudy, understudy.description, understudy.spanMs(held));
    void before?.close(reason).catch(() => {});
    for (const sample of held) splice.push(sample);
    understudy.handOver(this.#sinkFor(understudy.source));
  }

  #feedFrom({ source, url, openMs }: OpenedSource, description = source.description, heldMs = 0): void {
    this.#settleAccounts(url);
    this.#stopWatching({ code: "not-needed" });
    this.#source = source;
    this.#url = url;
    this.#openMs = openMs;
    this.#state = { phase: "live", url, sinceMs: this.#clock.nowMs() };
    const { recentMs } = this.#options;
    this.#stream ??= new Stream(this.name, description, {
      clock: this.#clock,
      ...(recentMs !== undefined && { recentMs }),
      logger: this.#log,
      requestKeyframe: (trackId) => this.#source?.requestKeyframe?.(trackId),
    });
    this.#splice ??= new SourceSplice(this.#stream, this.#clock);
    this.#splice.begin(description, heldMs);
    this.#log.info("pull is live", { url: withoutSecrets(url), from: this.from });
    this.#startWatching();
  }

  #sinkFor(source: Source): SourceSink {
    return {
      onSample: (sample) => {
        if (this.#source !== source) return;
        this.#splice!.push(sample);
        this.#failback?.consider();
      },
      onDescription: (description) => {
        if (this.#source === source) this.#splice!.describe(description);
      },
      onEnd: (reason) => {
        if (this.#source === source) this.#onLost(reason);
      },
    };
  }

  #newWatch(): SilenceWatch {
    return new SilenceWatch({
      clock: this.#clock,
      lastMediaMs: () => this.#splice!.lastInputMs,
      timeoutMs: this.#search.plan.noInputTimeoutMs,
      onSuspicion: () => this.#onSuspicion(),
      onSilence: () => this.#onSilence(),
      onMedia: () => {
        if (this.#understudySearch) this.#standDown({ code: "media-is-back" });
      },
    });
  }

  #startWatching(): void {
    this.#watch = this.#newWatch();
    this.#seekFailback();
  }

  /** Looks for the first URL's return while another plays, as the plan says now. */
  #seekFailback(): void {
    const { plan } = this.#search;
    const isAway = plan.hasFailback === true && this.#url !== plan.urls[0];
    if (!isAway) this.#failback?.close({ code: "not-needed" });
    this.#failback = isAway && !this.#understudySearch ? (this.#failback ?? this.#newFailback()) : undefined;
  }

  #stopWatching(reason: CloseReason): void {
    this.#watch?.close();
    this.#understudySearch?.close(reason);
    this.#failback?.close(reason);
    this.#watch = this.#understudySearch = this.#failback = undefined;
  }

  /** Half of the patience is over: a second source is opened, so that it is there when all of it is. */
  #onSuspicion(): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs < this.#suspectAgainMs || this.#failback?.isTrying) return;
    this.#suspectAgainMs = nowMs + this.#suspicions.next();
    this.#seekUnderstudy();
  }

  #onSilence(): void {
    if (this.#takeOver({ code: "no-input" })) return;
    this.#seekUnderstudy();
    if (!this.#understudySearch) this.#onLost({ code: "no-input" });
  }

  #seekUnderstudy(): void {
    const { urls, noInputTimeoutMs } = this.#search.plan;
    const at = urls.indexOf(this.#url) + 1;
    const others = [...urls.slice(at), ...urls.slice(0, at)].filter((url) => url !== this.#url);
    if (this.#understudySearch || others.length === 0) return;
    // One source beside the one that plays is enough; the first URL is among the others.
    this.#failback?.close({ code: "not-needed" });
    this.#failback = undefined;
    this.#understudySearch = new UnderstudySearch({
      clock: this.#clock,
      urls: others,
      open: (url, signal) => this.#search.openBeside(url, signal),
      patienceMs: Math.max(1_000, noInputTimeoutMs),
      onReady: () => this.#onUnderstudyReady(),
      onFailed: () => {
        this.#understudySearch = undefined;
        this.#seekFailback();
        if (this.#watch?.isOverdue) this.#onLost({ code: "no-input" }, others);
      },
    });
    // It may have been ready at once, before there was a name for it.
    if (this.#understudySearch.ready) this.#onUnderstudyReady();
  }

  #onUnderstudyReady(): void {
    const { noInputTimeoutMs } = this.#search.plan;
    if (this.#watch?.isOverdue) this.#takeOver({ code: "no-input" });
    else if (this.#watch && this.#watch.silenceMs < noInputTimeoutMs / 2) this.#standDown({ code: "media-is-back" });
  }

  #standDown(reason: CloseReason): void {
    this.#options.counters.standDowns++;
    this.#understudySearch?.close(reason);
    this.#understudySearch = undefined;
    this.#seekFailback();
  }

  /** Goes on with a second source that is there. */
  #takeOver(reason: CloseReason): boolean {
    const understudy = this.#failback?.take() ?? this.#understudySearch?.take();
    if (!understudy) return false;
    this.#noteLoss(reason);
    this.#promote(understudy, reason);
    return true;
  }

  #newFailback(): Failback {
    const { plan } = this.#search;
    const intervalMs = Math.max(leastIntervalMs, plan.failbackIntervalMs ?? 3_000);
    return new Failback({
      clock: this.#clock,
      random: this.#options.random ?? Math.random,
      intervalMs,
      settleMs: Math.min(maxSettleMs, intervalMs * 2 ** this.#flaps),
      target: async () => {
        const { hasFailback, urls } = await this.#search.ask();
        return hasFailback && urls[0] !== this.#url ? urls[0] : undefined;
      },
      probe: (url, signal) => this.#search.probe(url, signal),
      open: (url, signal) => this.#search.openBeside(url, signal),
      joins: (understudy) => this.#joins(understudy),
      onReady: (understudy) => this.#onReturn(understudy),
      onStandDown: (reason) => {
        this.#options.counters.standDowns++;
        this.#splice!.fillRoom();
        this.#log.info("the first source did not last", { reason: reason.code });
      },
    });
  }

  #joins(understudy: Understudy): boolean {
    const held = understudy.held();
    if (this.#splice!.joins(understudy.description, held)) return true;
    this.#splice!.makeRoomFor(understudy.description, held);
    return false;
  }

  #onReturn(understudy: Understudy): void {
    this.#failbacks++;
    this.#options.counters.failbacks++;
    this.#log.info("returning to the first source", { url: withoutSecrets(understudy.url) });
    this.#returnedMs = this.#clock.nowMs();
    this.#promote(understudy, { code: "failback" });
  }

  #noteLoss(reason: CloseReason): void {
    const { counters } = this.#options;
    const nowMs = this.#clock.nowMs();
    this.#failovers++;
    if (reason.code === "no-input") counters.losses.silent++;
    else counters.losses.ended++;
    const hasFlapped = nowMs - this.#returnedMs < flapMs;
    this.#flaps = hasFlapped ? Math.min(this.#flaps + 1, 10) : 0;
    this.#returnedMs = Number.NEGATIVE_INFINITY;
    this.#log.warn("source lost", { url: withoutSecrets(this.#url), reason: reason.code, message: reason.message });
    this.#state = { phase: "lost", attempt: 0, sinceMs: nowMs };
  }

  /** @param failed URLs that were tried in vain a moment ago */
  #onLost(reason: CloseReason, failed: readonly string[] = []): void {
    if (this.#closing || this.#takeOver(reason)) return;
    const source = this.#source;
    this.#source = undefined;
    this.#noteLoss(reason);
    this.#stopWatching(reason);
    void source?.close(reason).catch(() => {});
    void this.#resume(failed);
  }

  async #resume(failed: readonly string[]): Promise<void> {
    const sinceMs = this.#clock.nowMs();
    for (;;) {
      try {
        const onTry = (attempt: number): void => void (this.#state = { phase: "lost", attempt, sinceMs });
        const opened = await this.#search.again({ url: this.#url, sinceMs, failed }, onTry);
        if (this.#closing) return await opened.source.close({ code: "closed" });
        return this.#adopt(opened);
      } catch (thrown) {
        if (this.#closing) return;
        if (!this.#search.mayGoOn(sinceMs)) {
          this.#options.counters.givenUp++;
          return await this.close({ code: "source-lost", message: messageOf(thrown) });
        }
        await sleep(this.#clock, 1_000, this.#abort.signal);
      }
    }
  }

  /** What an outage was in the end. */
  #settleAccounts(url: string): void {
    if (this.#state.phase !== "lost") return;
    const { counters } = this.#options;
    const outageMs = this.#clock.nowMs() - this.#stream!.stats.lastSampleMs;
    counters.outageMs += outageMs;
    this.#log.info("outage over", { outageMs: Math.round(outageMs), isOtherUrl: url !== this.#url });
    if (url === this.#url) counters.resumptions++;
    else counters.failovers++;
  }
}
