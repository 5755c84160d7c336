import type { NodeRecord } from "./cluster/store/contract.ts";
import type { Logger } from "./flow/logger.ts";
import { every, type Clock, type Timer } from "./time/clock.ts";

export interface NodeLifecycleOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long viewers may take to move; may change while the node runs. */
  readonly drainTimeoutMs: number;
}

/** What moves the viewers of one node; handed over once the node serves. */
export interface DrainSteps {
  /** Who watches here now; those who were sent on and may come back among them. */
  readonly viewers: () => number;
  /** Whether a router may send viewers here for a while yet, because it reads the cluster from a store. */
  readonly isRouted: boolean;
  /** Says everywhere that the node drains. */
  readonly announce: () => void;
  /** Begins to answer what can be redirected with another node's address. */
  readonly redirect: () => void;
  /** Resolves when other nodes are ready for the viewers, or have had their time for it; never rejects. */
  readonly othersReady: () => Promise<void>;
  /** Tells viewers who hold a connection to ask the router again, the last one when `withinMs` are over. */
  readonly tellViewers: (withinMs: number) => void;
  /**
   * Takes back what this node is the origin of; never rejects. Resolves to undefined when it was none's, else to a question
   * that never rejects either: whether other origins have it by now.
   */
  readonly giveUpStreams: () => Promise<(() => Promise<boolean>) | undefined>;
}

/** `closed`: the node went before its drain was over. */
export type DrainOutcome = "everybody-moved" | "out-of-time" | "closed";

/** A router decides on what it read at most this long ago; until then it may send viewers here. */
const routerMemoryMs = 2_500;
/** Nobody waits longer than this for other nodes to get ready. */
const othersReadyMs = 6_000;
/** Of the time to drain, for telling the viewers one after the other; the rest is for the last of them to move. */
const tellShare = 0.3;
/** Origins on standby, OvenMediaEngine's too, ask for a stream every 2.5 s; the rest is for answers of machines that are busy. */
const standbyMs = 5_000;
const askEveryMs = 250;
/** Before the end, for those whose viewers do not go: as long as a standby that is not busy needs. */
const handOverMs = 3_000;
/**
 * Where a node is in its life: starting, serving, draining. Draining goes on until nobody is left or the time is up;
 * whoever owns the node closes it then.
 */
export class NodeLifecycle {
  readonly #options: NodeLifecycleOptions;
  readonly #drained = Promise.withResolvers<DrainOutcome>();
  #state: NodeRecord["state"] = "starting";
  #steps: DrainSteps | undefined;
  #drainSinceMs: number | undefined;
  #hasTold = false;
  /** Whether edges find the other origin, if there is one, when this one ends their pulls. */
  #handover: "open" | "begun" | "over" = "open";
  #timers: Timer[] = [];

  constructor(options: NodeLifecycleOptions) {
    this.#options = options;
  }

  get state(): NodeRecord["state"] {
    return this.#state;
  }

  /** Resolves when a drain is over, however it began. */
  get drained(): Promise<DrainOutcome> {
    return this.#drained.promise;
  }

  /** Milliseconds that are left of the time to drain; undefined while it is not draining. */
  get drainLeftMs(): number | undefined {
    if (this.#drainSinceMs === undefined) return undefined;
    return Math.max(0, this.#drainSinceMs + this.#options.drainTimeoutMs - this.#options.clock.nowMs());
  }

  serve(steps: DrainSteps): void {
    this.#steps = steps;
    this.#state = "serving";
  }

  /** Says that the node goes, without waiting for anybody; the first step of every end. */
  leave(): void {
    if (this.#state === "draining") return;
    this.#state = "draining";
    this.#steps?.announce();
    this.#steps?.redirect();
  }

  /** Moves the viewers elsewhere; resolves when they are gone or the time is up. May be called twice. */
  drain(): Promise<DrainOutcome> {
    const { clock, logger, drainTimeoutMs } = this.#options;
    const steps = this.#steps;
    if (this.#drainSinceMs !== undefined || !steps) return this.drained;
    const sinceMs = clock.nowMs();
    this.#drainSinceMs = sinceMs;
    logger.info("node drains", { viewers: steps.viewers(), limitMs: drainTimeoutMs });
    this.leave();
    // Whom the router sends meanwhile is taken: a refusal would be seen, a second move is not.
    const settleMs = steps.isRouted ? Math.min(routerMemoryMs, drainTimeoutMs / 2) : 0;
    this.#timers.push(
      clock.after(settleMs, () => void steps.othersReady().then(() => this.#tell(steps))),
      clock.after(settleMs + Math.min(othersReadyMs, drainTimeoutMs / 4), () => this.#tell(steps)),
      every(clock, 100, () => this.#look(steps, sinceMs)),
    );
    return this.drained;
  }

  #tell(steps: DrainSteps): void {
    if (this.#hasTold) return;
    this.#hasTold = true;
    steps.tellViewers(this.#options.drainTimeoutMs * tellShare);
  }

  #look(steps: DrainSteps, sinceMs: number): void {
    const { clock, logger, drainTimeoutMs } = this.#options;
    const elapsedMs = Math.round(clock.nowMs() - sinceMs);
    const viewers = steps.viewers();
    const hasMoved = this.#hasTold && viewers === 0;
    if (hasMoved || elapsedMs >= drainTimeoutMs - handOverMs) this.#handOver(steps, sinceMs);
    if (!(hasMoved && this.#handover === "over") && elapsedMs < drainTimeoutMs) return;
    this.#cancelTimers();
    if (hasMoved) logger.info("node drained", { viewers, elapsedMs });
    else logger.warn("node drained", { viewers, elapsedMs, lost: "they did not move within DrainTimeout" });
    this.#drained.resolve(hasMoved ? "everybody-moved" : "out-of-time");
  }

  /**
   * Pulls of edges end with the node. By then the store names the origin that stood by, to OvenMediaEngine's edges too, which
   * it does not while this one holds on. Not sooner than needed: without another origin new viewers find the stream here as
   * long as it is here.
   */
  #handOver(steps: DrainSteps, sinceMs: number): void {
    if (this.#handover !== "open") return;
    this.#handover = "begun";
    const finish = (): void => {
      if (this.#handover === "over") return;
      this.#handover = "over";
      this.#look(steps, sinceMs);
    };
    const { clock } = this.#options;
    const onGivenUp = (areTaken: (() => Promise<boolean>) | undefined): void => {
      if (!areTaken) return finish();
      if (this.#handover !== "begun") return;
      let isAsking = false;
      const ask = async (): Promise<void> => {
        if (isAsking || this.#handover !== "begun") return;
        isAsking = true;
        if (await areTaken()) finish();
        isAsking = false;
      };
      this.#timers.push(
        clock.after(standbyMs, finish),
        every(clock, askEveryMs, () => void ask()),
      );
    };
    void steps.giveUpStreams().then(onGivenUp);
  }

  /** Lets go of timers: the node closes. */
  stop(): void {
    this.#cancelTimers();
    // Whoever waits for a drain waits no longer.
    if (this.#drainSinceMs !== undefined) this.#drained.resolve("closed");
  }

  #cancelTimers(): void {
    this.#hasTold = true;
    this.#handover = "over";
    for (const timer of this.#timers.splice(0)) timer.cancel();
  }
}
