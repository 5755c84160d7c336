import type { ClusterStore, NodeRecord } from "../cluster/store/contract.ts";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock, Timer } from "../time/clock.ts";

/** A third of the lease: two may be lost. */
const announceEveryMs = 2_000;
const retryAfterMs = 500;
/** Readers refuse a record that is 10 s off; one this far off is soon followed by a better one. */
const clockErrorMs = 1_000;

export interface AnnouncerOptions {
  readonly store: ClusterStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The node's id; every record carries it. */
  readonly id: string;
  /** Asked before every announcement. */
  readonly record: () => NodeRecord;
  /** @param nowMs by the store's clock: readers hold a record's age against it */
  readonly sign: (record: NodeRecord, nowMs: number) => string | Promise<string>;
  /** How long the first announcement waits, unless one is asked for. Default 0: it begins at once. */
  readonly firstAfterMs?: number;
}

/**
 * Publishes what a node says about itself, and takes it back when the node goes. Nothing it does throws; what fails
 * is tried again with a fresh record.
 */
export class Announcer {
  readonly #options: AnnouncerOptions;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #isAskedAgain = false;
  #isFailing = false;
  /** What the store's clock is ahead of ours; 0 before its first answer. */
  #aheadMs = 0;
  #closing: Promise<void> | undefined;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    const { clock, firstAfterMs = 0 } = options;
    if (firstAfterMs === 0) this.announce();
    else this.#timer = clock.after(firstAfterMs, () => this.announce());
  }

  /** Publishes now instead of at the next turn: the node's state changed (it drains). */
  announce(): void {
    if (this.#closing) return;
    this.#timer?.cancel();
    if (this.#running) this.#isAskedAgain = true;
    else this.#running = this.#run();
  }

  /** Stops, and takes the record back if the store can be reached (its lease runs out otherwise). May be called twice. */
  close(): Promise<void> {
    this.#closing ??= this.#closeNow();
    return this.#closing;
  }

  async #run(): Promise<void> {
    let nextMs = announceEveryMs;
    do {
      this.#isAskedAgain = false;
      nextMs = (await this.#publish()) === "good" ? announceEveryMs : retryAfterMs;
    } while (this.#isAskedAgain && !this.#closing);
    this.#running = undefined;
    if (!this.#closing) this.#timer = this.#options.clock.after(nextMs, () => this.announce());
  }

  async #publish(): Promise<"good" | "misdated" | "failed"> {
    const { store, id, record, sign, logger, clock } = this.#options;
    try {
      const isDated = this.#learn(await store.putNode(id, await sign(record(), clock.wallMs() + this.#aheadMs)));
      if (this.#isFailing) logger.info("node is announced again", { node: id });
      this.#isFailing = false;
      return isDated ? "good" : "misdated";
    } catch (thrown) {
      if (!this.#isFailing) logger.warn("node not announced, trying on", { node: id, error: messageOf(thrown) });
      this.#isFailing = true;
      return "failed";
    }
  }

  /** @returns whether what was known of the store's clock was right */
  #learn(storeMs: number): boolean {
    const { clock, logger, id } = this.#options;
    const aheadMs = storeMs - clock.wallMs();
    const isOff = Math.abs(aheadMs - this.#aheadMs) > clockErrorMs;
    this.#aheadMs = aheadMs;
    if (isOff) logger.warn("this node's clock is not the store's", { node: id, storeAheadMs: Math.round(aheadMs) });
    return !isOff;
  }

  async #closeNow(): Promise<void> {
    this.#timer?.cancel();
    const { store, id, logger } = this.#options;
    // A record that is under way would undo the withdrawal.
    await this.#running;
    try {
      await store.dropNode(id);
    } catch (thrown) {
      logger.warn("node not withdrawn", { node: id, error: messageOf(thrown) });
    }
  }
}
