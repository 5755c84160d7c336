import type { CloseReason } from "../flow/close-group.ts";
import { every, type Clock, type Timer } from "../time/clock.ts";
import type { Source, SourceSink } from "./source.ts";
import type { StreamDescription } from "./stream.ts";

/** A source that says something else of its stream than the one it is made of, and tells others of it from time to time. */
export abstract class WrappedSource implements Source {
  protected readonly source: Source;
  readonly #renewal: Timer;
  /** Somebody is to be told again: set from time to time, for whoever sees the next sample. */
  protected isDue = false;

  constructor(source: Source, clock: Clock, renewEveryMs: number) {
    this.source = source;
    this.#renewal = every(clock, renewEveryMs, () => void (this.isDue = true));
  }

  get connectMs(): number | undefined {
    return this.source.connectMs;
  }

  get hopMs(): number | undefined {
    return this.source.hopMs;
  }

  abstract readonly description: StreamDescription;
  abstract start(sink: SourceSink): void;

  requestKeyframe(trackId: number): void {
    this.source.requestKeyframe?.(trackId);
  }

  close(reason: CloseReason): Promise<void> {
    this.stop();
    return this.source.close(reason);
  }

  /** Nobody is told any more. */
  protected stop(): void {
    this.#renewal.cancel();
  }
}
