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
  const log = (at: LogLevel) => (event: string, more?: LogFields) => {
    if (rank[at] < rank[level]) return;
    write(`${JSON.stringify({ time: new Date().toISOString(), level: at, event, ...fields, ...more })}\n`);
  };
  return {
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
    with: (more) => jsonLogger(write, level, { ...fields, ...more }),
  };
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
