import type { ClusterStore, NodeRecord } from "../cluster/store/contract.ts";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock, Timer } from "../time/clock.ts";

/** A third of the lease: two may be lost. */
const announceEveryMs = 2_000;
const retryAfterMs = 500;

export interface AnnouncerOptions {
  readonly store: ClusterStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The node's id; every record carries it. */
  readonly id: string;
  /** Asked before every announcement. */
  readonly record: () => NodeRecord;
  readonly sign: (record: NodeRecord) => string | Promise<string>;
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
  #closing: Promise<void> | undefined;

  /** Begins to announce at once. */
  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.announce();
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
      nextMs = (await this.#publish()) ? announceEveryMs : retryAfterMs;
    } while (this.#isAskedAgain && !this.#closing);
    this.#running = undefined;
    if (!this.#closing) this.#timer = this.#options.clock.after(nextMs, () => this.announce());
  }

  async #publish(): Promise<boolean> {
    const { store, id, record, sign, logger } = this.#options;
    try {
      await store.putNode(id, await sign(record()));
      if (this.#isFailing) logger.info("node is announced again", { node: id });
      this.#isFailing = false;
      return true;
    } catch (thrown) {
      if (!this.#isFailing) logger.warn("node not announced, trying on", { node: id, error: messageOf(thrown) });
      this.#isFailing = true;
      return false;
    }
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
