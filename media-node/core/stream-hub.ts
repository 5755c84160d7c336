import type { CloseReason } from "../flow/close-group.ts";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import { every, type Clock, type Timer } from "../time/clock.ts";
import { Pull, type PullOptions } from "./pull.ts";
import { PullBudget, type PullLeave, type PullLimits, type PullRefusal } from "./pull-budget.ts";
import { PullCounters } from "./pull-counters.ts";
import type { NoPullPlan, PullPlan } from "./pull-plan.ts";
import { NoSuchStream, type OpenSource } from "./source.ts";
import { streamKey, type StreamName } from "./stream-name.ts";
import type { Stream } from "./stream.ts";

/** Who wants a stream, and the raw query (without `?`) of the request that asks. */
export interface StreamRequest {
  /** `hls` is HLS version 3. */
  readonly protocol: "webrtc" | "whep" | "llhls" | "hls" | "ovt" | "prewarm";
  readonly rawQuery?: string;
  /** Nodes that wait for this stream, from the one nearest the viewer on, so that a circle of pulls is seen before it closes. */
  readonly via?: readonly string[];
  /** The address that asks, for its share of tries; absent for this node itself. */
  readonly client?: string;
  /** The trace id of the request that asks: a pull that it begins is logged under it, and tells a Hearth origin. */
  readonly trace?: string | undefined;
}

/** One of the people behind a hold, as an operator sees and ends them. */
export interface StreamHolder {
  /** Unique on this node; tells nothing that would admit anybody. */
  readonly id: string;
  readonly address: string;
  /** On the clock that never jumps. */
  readonly sinceMs: number;
  end(reason: CloseReason): void;
}

/** One holder's grip on a stream: as long as it is not released, the stream is in use. */
export interface StreamHold {
  readonly stream: Stream;
  /** How many viewers stand behind this hold; counted per protocol. Starts at 1. */
  viewers: number;
  /** Bytes of media sent on its behalf; set by who holds. */
  sentBytes?: () => number;
  /** The people behind it; set by who holds. */
  holders?: () => readonly StreamHolder[];
  /** May be called twice. */
  release(): void;
}

export type AcquireResult =
  | { readonly kind: "stream"; readonly hold: StreamHold }
  /** No rule, no registry entry, or every upstream says there is none. */
  | { readonly kind: "not-found"; readonly reason: string }
  /** It may well exist but cannot be had now; worth asking again. */
  | { readonly kind: "unavailable"; readonly reason: string };

/** Says where a stream can be pulled from. Asked for every attempt. */
export type PlanPull = (name: StreamName, request: StreamRequest) => Promise<PullPlan | NoPullPlan>;

export interface StreamHubOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nodeId: string;
  readonly plan: PlanPull;
  readonly openers: ReadonlyMap<string, OpenSource>;
  readonly recentMs?: number;
  readonly limits?: Partial<PullLimits>;
  /** Time for one attempt to open a source; default 6 s. */
  readonly attemptTimeoutMs?: number;
  /** 0 ≤ x < 1 */
  readonly random?: () => number;
}

/** Told when streams come and go: the OVT publisher and the registry listen. */
export interface StreamHubListener {
  onStream(stream: Stream): void;
  /** @param last as it was when it ended; it is not among the live ones any more */
  onStreamEnd(last: ListedStream): void;
}

interface Entry {
  readonly stream: Stream;
  readonly pull: Pull | undefined;
  readonly holds: Map<StreamHold, StreamRequest["protocol"]>;
  /** Bytes sent on behalf of holds that are released, by protocol. */
  readonly sent: Record<string, number>;
  unusedSinceMs: number;
}

/** A live stream with who watches it. */
export interface ListedStream {
  readonly stream: Stream;
  readonly pull: Pull | undefined;
  /** By protocol. */
  readonly viewers: Record<string, number>;
  /** Bytes of media sent since the stream began, by protocol. */
  readonly sent: Record<string, number>;
}

/** An unknown name is not looked up again for this long, so that asking for nonsense costs nothing. */
const negativeCacheMs = 1_000;
const rememberedNames = 10_000;
const stopping: AcquireResult = { kind: "unavailable", reason: "this node is stopping" };

/**
 * All live streams of a node. A stream that is not there is pulled once, however many ask for it at the same time,
 * and let go when nobody has held it for a while.
 */
export class StreamHub {
  readonly #options: StreamHubOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #opening = new Map<string, Promise<AcquireResult | Entry>>();
  readonly #unknown = new Map<string, { untilMs: number; result: AcquireResult }>();
  readonly #listeners = new Set<StreamHubListener>();
  readonly #budget: PullBudget;
  /** Names that were live here: no nonsense, whatever else is asked for. */
  readonly #wasLive = new Set<string>();
  readonly #sweeper: Timer;
  readonly #abort = new AbortController();
  /** What happened to the pulls of this node. */
  readonly counters = new PullCounters();

  constructor(options: StreamHubOptions) {
    this.#options = options;
    this.#budget = new PullBudget(options.clock, options.limits);
    this.#sweeper = every(options.clock, 250, () => this.#letGoOfUnused());
  }

  /** The stream if it is live here; nothing is pulled. */
  find(name: StreamName): Stream | undefined {
    return this.#entries.get(streamKey(name))?.stream;
  }

  /** Every live stream with its viewers by protocol. */
  list(): ListedStream[] {
    return [...this.#entries.values()].map(listed);
  }

  /** One of {@link list}. */
  look(name: StreamName): ListedStream | undefined {
    const entry = this.#entries.get(streamKey(name));
    return entry && listed(entry);
  }

  /** Who watches the stream. */
  holders(name: StreamName): { readonly protocol: StreamRequest["protocol"]; readonly holder: StreamHolder }[] {
    const holds = this.#entries.get(streamKey(name))?.holds ?? [];
    return [...holds].flatMap(([hold, protocol]) => (hold.holders?.() ?? []).map((holder) => ({ protocol, holder })));
  }

  /** Ends a stream for everybody, whoever feeds it; who asks for it again gets it again. False when there is none. */
  async end(name: StreamName, reason: CloseReason): Promise<boolean> {
    const isThere = this.#entries.has(streamKey(name));
    await this.#remove(streamKey(name), reason);
    return isThere;
  }

  /**
   * Pulls a stream as `plan` says and not as the rules say; nobody holds it yet.
   * @throws what the last attempt threw
   */
  async pull(name: StreamName, plan: PullPlan): Promise<"live" | "exists"> {
    const key = streamKey(name);
    if (this.#entries.has(key) || this.#opening.has(key)) return "exists";
    const options = { ...this.#pullOptions(name, { protocol: "prewarm" }), plan: () => Promise.resolve(plan) };
    const opening = Pull.open(name, plan, options, this.#abort.signal).then((pull) => this.#add(key, pull));
    const others = opening.catch((thrown: unknown): AcquireResult => ({
      kind: "unavailable",
      reason: messageOf(thrown),
    }));
    this.#opening.set(key, others);
    try {
      await opening;
      return "live";
    } finally {
      this.#opening.delete(key);
    }
  }

  addListener(listener: StreamHubListener): () => void {
    this.#listeners.add(listener);
    for (const { stream } of this.#entries.values()) listener.onStream(stream);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Holds the stream for one reader, pulling it when it is not here. The promise resolves as soon as the stream is
   * described, so media may still be on its way. Aborting `signal` gives up waiting; the pull goes on for others.
   */
  async acquire(name: StreamName, request: StreamRequest, signal?: AbortSignal): Promise<AcquireResult> {
    const key = streamKey(name);
    const entry = this.#entries.get(key);
    if (entry) return { kind: "stream", hold: this.#hold(entry, request) };
    if (this.#abort.signal.aborted) return stopping;
    const known = this.#unknown.get(key);
    if (known && known.untilMs > this.#options.clock.nowMs()) {
      this.counters.refusals.remembered++;
      return known.result;
    }
    let opening = this.#opening.get(key);
    if (!opening) {
      opening = this.#open(key, name, request).finally(() => this.#opening.delete(key));
      this.#opening.set(key, opening);
    }
    const opened = await abortable(opening, signal);
    if (opened === undefined) return { kind: "unavailable", reason: "the request was given up" };
    return "kind" in opened ? opened : { kind: "stream", hold: this.#hold(opened, request) };
  }

  /** To be called when the rules have changed: pulls ask for their plans again, one after the other. Never rejects. */
  async replan(): Promise<void> {
    const { recentMs } = this.#options;
    if (recentMs !== undefined) for (const { stream } of this.#entries.values()) stream.keepRecent(recentMs);
    this.#unknown.clear();
    for (const { pull } of this.#entries.values()) {
      if (pull?.plan.from === "rule") await pull.replan().catch(() => {});
    }
  }

  /** Ends every pull and stream; resolves when their sockets are gone. */
  async close(reason: CloseReason): Promise<void> {
    this.#abort.abort();
    this.#sweeper.cancel();
    this.#budget.close();
    await Promise.allSettled(this.#opening.values());
    await Promise.all([...this.#entries.keys()].map((key) => this.#remove(key, reason)));
  }

  async #open(key: string, name: StreamName, request: StreamRequest): Promise<AcquireResult | Entry> {
    let leave: PullLeave | undefined;
    const { client } = request;
    const wasLive = this.#wasLive.has(key);
    try {
      if (client !== undefined && !wasLive && this.#budget.isSpent(client)) return this.#refuse({ refused: "client" });
      const plan = await this.#options.plan(name, request);
      if ("kind" in plan) {
        if (client !== undefined && plan.wasLookedUp) this.#budget.charge(client);
        return this.#remember(key, plan);
      }
      if (this.#abort.signal.aborted) return stopping;
      const answer = await this.#budget.enter(plan.urls.length, client, wasLive || plan.from === "store");
      if ("refused" in answer) return this.#refuse(answer);
      leave = answer;
      const pull = await Pull.open(name, plan, this.#pullOptions(name, request), this.#abort.signal);
      leave.settle(true);
      return this.#add(key, pull);
    } catch (thrown) {
      leave?.settle(false);
      const kind = thrown instanceof NoSuchStream ? "not-found" : "unavailable";
      return this.#remember(key, { kind, reason: messageOf(thrown) });
    }
  }

  #refuse({ refused }: PullRefusal): AcquireResult {
    this.counters.refusals[refused]++;
    const reasons = {
      client: "this client asks for too many streams that do not exist",
      busy: "too many streams are being opened",
    };
    return { kind: "unavailable", reason: reasons[refused] };
  }

  #pullOptions(name: StreamName, request: StreamRequest): PullOptions {
    const { clock, logger, nodeId, openers, recentMs, random, attemptTimeoutMs } = this.#options;
    return {
      clock,
      logger,
      nodeId,
      openers,
      stream: { vhost: name.vhost, app: name.app, stream: name.stream },
      counters: this.counters,
      ...(random && { random }),
      ...(attemptTimeoutMs !== undefined && { attemptTimeoutMs }),
      ...(recentMs !== undefined && { recentMs }),
      ...(request.via && { via: request.via }),
      trace: request.trace,
      plan: async () => {
        const plan = await this.#options.plan(name, request);
        return "kind" in plan ? undefined : plan;
      },
    };
  }

  #add(key: string, pull: Pull): Entry {
    const { stream } = pull;
    const entry: Entry = { stream, pull, holds: new Map(), sent: {}, unusedSinceMs: this.#options.clock.nowMs() };
    this.#entries.set(key, entry);
    if (this.#wasLive.size >= rememberedNames) this.#wasLive.delete(this.#wasLive.values().next().value!);
    this.#wasLive.add(key);
    stream.addReader({ onSample() {}, onEnd: (reason) => void this.#remove(key, reason) });
    for (const listener of this.#listeners) listener.onStream(stream);
    return entry;
  }

  async #remove(key: string, reason: CloseReason): Promise<void> {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    const last = listed(entry);
    for (const listener of this.#listeners) listener.onStreamEnd(last);
    if (entry.pull) await entry.pull.close(reason);
    else entry.stream.close(reason);
  }

  #hold(entry: Entry, request: StreamRequest): StreamHold {
    const hold: StreamHold = {
      stream: entry.stream,
      viewers: 1,
      release: () => {
        if (!entry.holds.delete(hold)) return;
        const { protocol } = request;
        entry.sent[protocol] = (entry.sent[protocol] ?? 0) + (hold.sentBytes?.() ?? 0);
        if (entry.holds.size === 0) entry.unusedSinceMs = this.#options.clock.nowMs();
      },
    };
    entry.holds.set(hold, request.protocol);
    return hold;
  }

  #letGoOfUnused(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const [key, { holds, pull, unusedSinceMs }] of this.#entries) {
      if (!pull || pull.plan.isPersistent || holds.size > 0) continue;
      if (nowMs - unusedSinceMs >= pull.plan.unusedTimeoutMs) void this.#remove(key, { code: "unused" });
    }
  }

  #remember(key: string, result: AcquireResult): AcquireResult {
    if (this.#unknown.size >= rememberedNames) this.#unknown.delete(this.#unknown.keys().next().value!);
    this.#unknown.delete(key);
    this.#unknown.set(key, { untilMs: this.#options.clock.nowMs() + negativeCacheMs, result });
    return result;
  }
}

function listed({ stream, pull, holds, sent: before }: Entry): ListedStream {
  const viewers: Record<string, number> = {};
  const sent = { ...before };
  for (const [hold, protocol] of holds) {
    viewers[protocol] = (viewers[protocol] ?? 0) + hold.viewers;
    if (hold.sentBytes) sent[protocol] = (sent[protocol] ?? 0) + hold.sentBytes();
  }
  return { stream, pull, viewers, sent };
}

/** Resolves with `promise`, or with undefined as soon as `signal` aborts. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T | undefined> {
  if (!signal) return promise;
  if (signal.aborted) return undefined;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => resolve(undefined);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
