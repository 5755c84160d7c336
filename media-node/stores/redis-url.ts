import { SettingError } from "../flow/errors.ts";

/** One Redis, as a connection takes it. */
export interface RedisAddress {
  /** Name or address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
}

/**
 * Reads `redis://[[user]:password@]host[:port][/database]` (`rediss://` for TLS). User and password are percent-decoded.
 * @throws {SettingError} naming what is wrong, never repeating the password
 */
export function parseRedisUrl(text: string): RedisAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== "redis:" && url.protocol !== "rediss:") || !url.hostname) {
    throw new SettingError("the store's URL must be redis://host:port or rediss://host:port");
  }
  const database = url.pathname === "" || url.pathname === "/" ? "0" : url.pathname.slice(1);
  if (!/^\d{1,3}$/.test(database)) throw new SettingError("the path of the store's URL must be a database number");
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? 6379 : Number(url.port),
    isTls: url.protocol === "rediss:",
    username: decodePart(url.username),
    password: decodePart(url.password),
    database: Number(database),
  };
}

function decodePart(part: string): string | undefined {
  if (part === "") return undefined;
  try {
    return decodeURIComponent(part);
  } catch {
    throw new SettingError("user and password in the store's URL must be percent-encoded");
  }
}
