import type { StreamHold, StreamHub } from "./core/stream-hub.ts";
import { streamKey, type StreamName } from "./core/stream-name.ts";
import type { Logger } from "./flow/logger.ts";
import type { Clock } from "./time/clock.ts";
import { Timers } from "./time/timers.ts";

export interface PrewarmOptions {
  readonly hub: StreamHub;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onResult: (name: StreamName, isLive: boolean, reason: string) => void;
}

/** After the hub's negative cache has forgotten, so that every try is a real one. */
const retryMs = 1_500;

/** Holds streams from the start, whether anybody watches or not, and for as long as the node lives. */
export class Prewarm {
  readonly #options: PrewarmOptions;
  readonly #holds = new Map<string, StreamHold>();
  readonly #timers: Timers;
  #isClosed = false;

  constructor(names: readonly StreamName[], options: PrewarmOptions) {
    this.#options = options;
    this.#timers = new Timers(options.clock);
    for (const name of names) void this.#hold(name);
  }

  close(): void {
    this.#isClosed = true;
    this.#timers.close();
    for (const hold of this.#holds.values()) hold.release();
  }

  async #hold(name: StreamName): Promise<void> {
    const { hub, logger, onResult } = this.#options;
    const result = await hub.acquire(name, { protocol: "prewarm" });
    if (this.#isClosed) return result.kind === "stream" ? result.hold.release() : undefined;
    if (result.kind !== "stream") {
      logger.warn("a stream to be held from the start is not to be had", {
        stream: streamKey(name),
        reason: result.reason,
      });
      onResult(name, false, result.reason);
      return this.#later(name);
    }
    this.#holds.set(streamKey(name), result.hold);
    result.hold.viewers = 0;
    onResult(name, true, "live");
    result.hold.stream.addReader({ onSample() {}, onEnd: () => this.#later(name) });
  }

  #later(name: StreamName): void {
    this.#timers.after(retryMs, () => void this.#hold(name));
  }
}
