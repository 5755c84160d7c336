import { Backoff } from "../flow/backoff.ts";
import type { CloseReason } from "../flow/close-group.ts";
import { messageOf } from "../flow/errors.ts";
import { withoutSecrets, type Logger } from "../flow/logger.ts";
import { every, type Clock, type Timer } from "../time/clock.ts";
import { NoSuchStream, type OpenSource, type Source } from "./source.ts";
import { SourceSplice } from "./source-splice.ts";
import type { StreamName } from "./stream-name.ts";
import { Stream } from "./stream.ts";

/** Where a stream may be pulled from, and how patiently. */
export interface PullPlan {
  /** Complete URLs in order of preference, at least one. */
  readonly urls: readonly string[];
  /** What named them, for `explain` and logs. */
  readonly from: "rule" | "store" | "api";
  /** Silence (no media) after which the next URL is tried. */
  readonly noInputTimeoutMs: number;
  /** The pull ends after this time without a viewer. */
  readonly unusedTimeoutMs: number;
  /** How long viewers are kept while every URL fails. */
  readonly graceMs: number;
  /** Rounds over the URL list before the first success is given up. */
  readonly retryCount: number;
  /** Never ended as unused, and retried for ever. */
  readonly isPersistent: boolean;
  /** Handed to the opener. */
  readonly ignoresSourceClock?: boolean;
}

export interface PullOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nodeId: string;
  /** Asked again before every attempt, so that a moved origin is found. */
  readonly plan: () => Promise<PullPlan | undefined>;
  /** By scheme, lower case, without `:`. */
  readonly openers: ReadonlyMap<string, OpenSource>;
  readonly random?: () => number;
  readonly recentMs?: number;
  /** Nodes for which this stream is pulled, handed to the opener. */
  readonly via?: readonly string[];
}

export type PullPhase =
  | { phase: "connecting"; attempt: number }
  | { phase: "live"; url: string; sinceMs: number }
  | { phase: "lost"; attempt: number; sinceMs: number }
  | { phase: "closed"; reason: CloseReason };

/** Time for one attempt to connect, describe and play. */
const attemptTimeoutMs = 6_000;

/**
 * One pulled stream: finds a working URL, feeds the {@link Stream}, and when the source ends or falls silent goes on
 * with the next URL while the stream and its viewers stay.
 */
export class Pull {
  readonly name: StreamName;
  readonly #options: PullOptions;
  readonly #log: Logger;
  readonly #abort = new AbortController();
  readonly #backoff: Backoff;
  #state: PullPhase = { phase: "connecting", attempt: 0 };
  #plan: PullPlan;
  #source: Source | undefined;
  #splice: SourceSplice | undefined;
  #stream: Stream | undefined;
  #watchdog: Timer | undefined;
  #nextUrl = 0;
  #failovers = 0;
  #closing: Promise<void> | undefined;

  private constructor(name: StreamName, plan: PullPlan, options: PullOptions) {
    this.name = name;
    this.#plan = plan;
    this.#options = options;
    this.#log = options.logger.with({ app: name.app, stream: name.stream });
    this.#backoff = new Backoff(100, 5_000, options.random);
  }

  /**
   * Pulls from the first URL that works, trying all of them `retryCount` times and once more.
   * @throws {NoSuchStream} when every upstream said so
   * @throws the last attempt's error otherwise
   */
  static async open(name: StreamName, plan: PullPlan, options: PullOptions, signal?: AbortSignal): Promise<Pull> {
    const pull = new Pull(name, plan, options);
    const onAbort = (): void => pull.#abort.abort();
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await pull.#openFirst();
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

  get plan(): PullPlan {
    return this.#plan;
  }

  /**
   * Asks for the plan again: its times hold from now on, its URLs from the next attempt on. Where nothing names the stream
   * any more, it goes on until its source ends or nobody watches, and is no longer persistent.
   */
  async replan(): Promise<void> {
    const plan = await this.#options.plan();
    if (!this.#closing) this.#plan = plan ?? { ...this.#plan, isPersistent: false };
  }

  get failovers(): number {
    return this.#failovers;
  }

  /** Lets go of the source and ends the stream for its readers; resolves when nothing is held any more. */
  close(reason: CloseReason): Promise<void> {
    this.#closing ??= this.#closeNow(reason);
    return this.#closing;
  }

  async #closeNow(reason: CloseReason): Promise<void> {
    this.#state = { phase: "closed", reason };
    this.#watchdog?.cancel();
    this.#abort.abort();
    const source = this.#source;
    this.#source = undefined;
    this.#stream?.close(reason);
    await source?.close(reason);
  }

  async #openFirst(): Promise<void> {
    const { urls, retryCount } = this.#plan;
    const attempts = urls.length * Math.max(0, retryCount) + 1;
    let failure: unknown;
    for (let attempt = 0; attempt < attempts; attempt++) {
      this.#state = { phase: "connecting", attempt };
      try {
        return await this.#adoptOrClose(await this.#openNext());
      } catch (thrown) {
        failure = thrown;
        if (this.#abort.signal.aborted) break;
      }
    }
    throw failure;
  }

  async #openNext(): Promise<{ source: Source; url: string }> {
    const url = this.#plan.urls[this.#nextUrl++ % this.#plan.urls.length]!;
    const scheme = url.slice(0, url.indexOf(":")).toLowerCase();
    const open = this.#options.openers.get(scheme);
    if (!open) throw new NoSuchStream(`no source speaks "${scheme}"`);
    const attempt = new AbortController();
    const deadline = this.#options.clock.after(attemptTimeoutMs, () => attempt.abort(new Error("timed out")));
    try {
      const signal = AbortSignal.any([attempt.signal, this.#abort.signal]);
      const { ignoresSourceClock = false } = this.#plan;
      const source = await open(url, {
        signal,
        ignoresSourceClock,
        ...(this.#options.via && { via: this.#options.via }),
      });
      if (this.#abort.signal.aborted) {
        await source.close({ code: "aborted" });
        throw new Error("aborted");
      }
      if (source.description.path.includes(this.#options.nodeId)) {
        await source.close({ code: "loop" });
        throw new NoSuchStream("the stream would be pulled in a circle");
      }
      return { source, url };
    } catch (thrown) {
      this.#log.warn("pull attempt failed", { url: withoutSecrets(url), error: messageOf(thrown) });
      throw thrown;
    } finally {
      deadline.cancel();
    }
  }

  /** What cannot be taken over must not stay open. */
  async #adoptOrClose(opened: { source: Source; url: string }): Promise<void> {
    try {
      this.#adopt(opened);
    } catch (thrown) {
      if (this.#source === opened.source) this.#source = undefined;
      this.#watchdog?.cancel();
      await opened.source.close({ code: "not-usable", message: messageOf(thrown) });
      throw thrown;
    }
  }

  #adopt({ source, url }: { source: Source; url: string }): void {
    const { clock } = this.#options;
    this.#source = source;
    this.#state = { phase: "live", url, sinceMs: clock.nowMs() };
    this.#backoff.reset();
    this.#stream ??= new Stream(this.name, source.description, {
      clock,
      ...(this.#options.recentMs !== undefined && { recentMs: this.#options.recentMs }),
      requestKeyframe: (trackId) => this.#source?.requestKeyframe?.(trackId),
    });
    this.#splice ??= new SourceSplice(this.#stream, clock);
    this.#splice.begin(source.description);
    this.#log.info("pull is live", { url: withoutSecrets(url), from: this.#plan.from });
    this.#watch(source);
    source.start({
      onSample: (sample) => {
        if (this.#source === source) this.#splice!.push(sample);
      },
      onDescription: (description) => {
        if (this.#source === source) this.#splice!.describe(description);
      },
      onEnd: (reason) => this.#onLost(source, reason),
    });
  }

  #watch(source: Source): void {
    this.#watchdog?.cancel();
    const { clock } = this.#options;
    const liveMs = clock.nowMs();
    const periodMs = Math.min(250, this.#plan.noInputTimeoutMs / 4);
    this.#watchdog = every(clock, periodMs, () => {
      const lastMs = Math.max(liveMs, this.#splice!.lastInputMs);
      if (clock.nowMs() - lastMs > this.#plan.noInputTimeoutMs) this.#onLost(source, { code: "no-input" });
    });
  }

  #onLost(source: Source, reason: CloseReason): void {
    if (this.#source !== source || this.#closing) return;
    this.#source = undefined;
    this.#watchdog?.cancel();
    this.#failovers++;
    this.#log.warn("source lost", { reason: reason.code, message: reason.message });
    void source.close(reason).catch(() => {});
    const sinceMs = this.#options.clock.nowMs();
    this.#state = { phase: "lost", attempt: 0, sinceMs };
    void this.#resume(sinceMs);
  }

  async #resume(sinceMs: number): Promise<void> {
    for (let attempt = 0; !this.#closing; attempt++) {
      this.#state = { phase: "lost", attempt, sinceMs };
      try {
        this.#plan = (await this.#options.plan()) ?? this.#plan;
        const opened = await this.#openNext();
        if (this.#closing) return await opened.source.close({ code: "closed" });
        return await this.#adoptOrClose(opened);
      } catch (thrown) {
        const elapsedMs = this.#options.clock.nowMs() - sinceMs;
        if (this.#closing) return;
        if (!this.#plan.isPersistent && elapsedMs >= this.#plan.graceMs) {
          return await this.close({ code: "source-lost", message: messageOf(thrown) });
        }
      }
      // The first round over the list is immediate: another URL may be alive.
      if (attempt + 1 >= this.#plan.urls.length) await this.#sleep(this.#backoff.next());
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#options.clock.after(ms, done);
      const { signal } = this.#abort;
      function done(): void {
        timer.cancel();
        signal.removeEventListener("abort", done);
        resolve();
      }
      signal.addEventListener("abort", done, { once: true });
    });
  }
}
