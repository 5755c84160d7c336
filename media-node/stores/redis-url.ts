import { SettingError } from "../flow/errors.ts";

export interface RedisHost {
  /** Name or address; IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Which Redis, as its URL says. */
export interface RedisTarget {
  readonly kind: "single" | "sentinel" | "cluster";
  /** The server itself, or those that know where it is; at least one. */
  readonly hosts: readonly RedisHost[];
  readonly isTls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
  /** What the sentinels call the server; empty otherwise. */
  readonly master: string;
}

const defaultPort = { single: 6379, sentinel: 26_379, cluster: 6379 } as const;

/**
 * Reads `redis://[[user]:password@]host[:port][/database]`, `redis-sentinel://…host,host…/master[/database]` and
 * `redis-cluster://…host,host…`; `rediss…` for TLS. User and password are percent-decoded.
 * @throws {SettingError} naming what is wrong, never repeating the password
 */
export function parseRedisUrl(text: string): RedisTarget {
  const parts = /^(rediss?)(?:-(sentinel|cluster))?:\/\/(?:([^:@/]*)(?::([^@/]*))?@)?([^@/?#]+)(?:\/([^?#]*))?$/.exec(
    text,
  );
  if (!parts) throw new SettingError("the store's URL must be redis://host:port or rediss://host:port");
  const [, scheme, variant, username, password, hosts, path = ""] = parts;
  const kind = variant === "sentinel" || variant === "cluster" ? variant : "single";
  const names = hosts!.split(",");
  if (kind === "single" && names.length > 1) {
    throw new SettingError("several hosts in the store's URL need redis-sentinel:// or redis-cluster://");
  }
  return {
    kind,
    hosts: names.map((name) => parseHost(name, defaultPort[kind])),
    isTls: scheme === "rediss",
    username: decodePart(username),
    password: decodePart(password),
    ...parsePath(kind, path),
  };
}

function parseHost(text: string, defaultPort: number): RedisHost {
  const [, v6, name, port] = /^(?:\[([\da-f:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/i.exec(text) ?? [];
  const host = v6 ?? name;
  const number = port === undefined ? defaultPort : Number(port);
  if (host === undefined || number > 65_535) throw new SettingError("the store's URL needs host:port behind //");
  return { host, port: number };
}

function parsePath(kind: RedisTarget["kind"], path: string): { readonly database: number; readonly master: string } {
  const words = path === "" ? [] : path.split("/");
  const master = kind === "sentinel" ? (words.shift() ?? "") : "";
  if (kind === "sentinel" && master === "") {
    throw new SettingError("the store's URL must name the master: redis-sentinel://host,host/master");
  }
  const [database = "0", ...more] = words;
  if (more.length > 0 || !/^\d{1,3}$/.test(database)) {
    throw new SettingError("the path of the store's URL must be a database number");
  }
  if (kind === "cluster" && database !== "0") throw new SettingError("a Redis Cluster has database 0 only");
  return { database: Number(database), master };
}

function decodePart(part: string | undefined): string | undefined {
  if (part === undefined || part === "") return undefined;
  try {
    return decodeURIComponent(part);
  } catch {
    throw new SettingError("user and password in the store's URL must be percent-encoded");
  }
}
