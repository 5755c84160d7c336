export type LogLevel = "debug" | "info" | "warn" | "error";
/** Plain values only; never a secret (mask URLs with {@link withoutSecrets} first). */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Handed down from the roof; each floor adds its field with `with` (`node`, `stream`, `session`). Never used per packet. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  with(fields: LogFields): Logger;
}

const rank: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };

/** One JSON object a line, as journald and every log shipper take it. */
export function jsonLogger(write: (line: string) => void, level: LogLevel = "info", fields: LogFields = {}): Logger {
  return new JsonLogger(write, level, fields);
}

/** Every viewer has one or two, so it holds its fields and nothing else. */
class JsonLogger implements Logger {
  readonly #write: (line: string) => void;
  readonly #level: LogLevel;
  readonly #fields: LogFields;

  constructor(write: (line: string) => void, level: LogLevel, fields: LogFields) {
    this.#write = write;
    this.#level = level;
    this.#fields = fields;
  }

  debug(event: string, fields?: LogFields): void {
    this.#log("debug", event, fields);
  }

  info(event: string, fields?: LogFields): void {
    this.#log("info", event, fields);
  }

  warn(event: string, fields?: LogFields): void {
    this.#log("warn", event, fields);
  }

  error(event: string, fields?: LogFields): void {
    this.#log("error", event, fields);
  }

  with(fields: LogFields): Logger {
    return new JsonLogger(this.#write, this.#level, { ...this.#fields, ...fields });
  }

  #log(level: LogLevel, event: string, fields: LogFields | undefined): void {
    if (rank[level] < rank[this.#level]) return;
    const line = { time: new Date().toISOString(), level, event, ...this.#fields, ...fields };
    this.#write(`${JSON.stringify(line)}\n`);
  }
}

/** Says nothing: for tests, and as a default where a caller does not care. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  with: () => silentLogger,
};

/** A URL as it may be logged: no user name, no password, no query. */
export function withoutSecrets(url: string): string {
  return url.replace(/\/\/[^/?#]*@/, "//").replace(/\?.*$/s, "?…");
}
