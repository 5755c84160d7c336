import type { Clock } from "../time/clock.ts";
import type { LogFields, Logger, LogLevel } from "./logger.ts";

/** A line of the log, kept for people. */
export interface LoggedEvent {
  readonly wallMs: number;
  readonly level: LogLevel;
  readonly event: string;
  readonly fields: LogFields;
}

const maxEvents = 50;
/** Streams whose events are kept; names come from outside. */
const maxStreams = 500;

/** Keeps the last lines of the log of each stream beside writing them: what `app` and `stream` among the fields belong to. */
export class EventLog {
  readonly #clock: Clock;
  readonly #events = new Map<string, LoggedEvent[]>();
  readonly #counts: Record<string, number> = { info: 0, warn: 0, error: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Lines since the start, by level. */
  get counts(): Readonly<Record<string, number>> {
    return this.#counts;
  }

  /** The last events of a stream, oldest first. */
  of(app: string, stream: string): readonly LoggedEvent[] {
    return this.#events.get(`${app}/${stream}`) ?? [];
  }

  /** A logger that writes to `logger` and keeps what it wrote. */
  wrap(logger: Logger, fields: LogFields = {}): Logger {
    const keep = (level: LogLevel) => (event: string, more?: LogFields) => {
      logger[level](event, more);
      this.#keep(level, event, { ...fields, ...more });
    };
    return {
      debug: (event, more) => logger.debug(event, more),
      info: keep("info"),
      warn: keep("warn"),
      error: keep("error"),
      with: (more) => this.wrap(logger.with(more), { ...fields, ...more }),
    };
  }

  #keep(level: LogLevel, event: string, fields: LogFields): void {
    this.#counts[level] = (this.#counts[level] ?? 0) + 1;
    const { app, stream, node: _node, ...others } = fields;
    if (app === undefined || stream === undefined) return;
    // Viewers come and go by hundreds and would push out what happened to the stream itself.
    if (level === "info" && others["viewer"] !== undefined) return;
    const key = `${app}/${stream}`;
    const events = this.#events.get(key) ?? [];
    // The stream heard of last is forgotten last.
    this.#events.delete(key);
    this.#events.set(key, events);
    if (this.#events.size > maxStreams) this.#events.delete(this.#events.keys().next().value!);
    events.push({ wallMs: this.#clock.wallMs(), level, event, fields: others });
    if (events.length > maxEvents) events.shift();
  }
}
