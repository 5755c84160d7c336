import { StreamHub } from "../../media-node/core/stream-hub.ts";
import type { PullPlan } from "../../media-node/core/pull-plan.ts";
import { NoSuchStream, type OpenSource } from "../../media-node/core/source.ts";
import type { StreamDescription } from "../../media-node/core/stream.ts";
import { silentLogger, type LogFields, type Logger } from "../../media-node/flow/logger.ts";
import { ManualClock } from "../../media-node/time/manual-clock.ts";
import { FakeSource } from "./fake-source.ts";
import { descriptionOf, opusTrack, videoTrack } from "./synthetic-stream.ts";

/** A hub whose streams `app/live` … come from fake sources: `live` at once, `never` not at all, `later` when allowed. */
export class TestHub {
  readonly clock = new ManualClock();
  readonly sources: FakeSource[] = [];
  readonly hub: StreamHub;
  /** By scheme; a test may add to it. */
  readonly openers = new Map<string, OpenSource>();
  /** Set to let `later` be pulled. */
  isLaterThere = false;

  constructor(description: StreamDescription = descriptionOf([videoTrack, opusTrack])) {
    const open: OpenSource = (url) => {
      if (url.endsWith("never")) return Promise.reject(new NoSuchStream("no such stream"));
      if (url.endsWith("later") && !this.isLaterThere) return Promise.reject(new Error("not yet"));
      const source = new FakeSource(description);
      this.sources.push(source);
      return Promise.resolve(source);
    };
    this.hub = new StreamHub({
      clock: this.clock,
      logger: silentLogger,
      nodeId: "test",
      openers: this.openers.set("test", open),
      plan: (name) => Promise.resolve(planFor(name.stream)),
    });
  }

  get source(): FakeSource {
    return this.sources.at(-1)!;
  }

  /** Viewers that hold streams now, by protocol. */
  get viewers(): Record<string, number> {
    return this.hub.list()[0]?.viewers ?? {};
  }
}

function planFor(stream: string): PullPlan {
  return {
    urls: [`test://${stream}`],
    from: "rule",
    noInputTimeoutMs: 3_600_000,
    unusedTimeoutMs: 3_600_000,
    graceMs: 0,
    retryCount: 0,
    isPersistent: true,
  };
}

/** Keeps what was logged. */
export class MemoryLogger implements Logger {
  readonly lines: { level: string; event: string; fields: LogFields }[] = [];
  debug = this.#at("debug");
  info = this.#at("info");
  warn = this.#at("warn");
  error = this.#at("error");

  with(): Logger {
    return this;
  }

  #at(level: string) {
    return (event: string, fields: LogFields = {}): void => void this.lines.push({ level, event, fields });
  }
}

/** Lets promises that are ready run, a bounded number of turns. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}
