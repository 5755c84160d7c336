/** An `ovt://host:port/app/stream[/…][?query]`, split but not decoded: `s%20b` is a stream of exactly that name. */
export interface OvtUrl {
  /** Lower case. */
  readonly scheme: string;
  /** Without brackets when it is an IPv6 literal. */
  readonly host: string;
  /** 0 = none given. */
  readonly port: number;
  readonly app: string;
  readonly stream: string;
  /** Without `?`; `""` when there is none. */
  readonly query: string;
}

const shape =
  /^([a-z][a-z0-9+.-]*):\/\/(?:[^/?#@]*@)?(\[[0-9a-f:.%]+\]|[^/?#:@[\]]*)(?::(\d{1,5}))?\/([^/?]*)\/([^/?]*)/i;

/** Splits a URL as the origin does that is asked with it. @returns undefined when it names no app and stream */
export function parseOvtUrl(url: string): OvtUrl | undefined {
  const found = shape.exec(url);
  if (!found) return undefined;
  const [whole, scheme = "", host = "", port = "0", app = "", stream = ""] = found;
  const portNumber = Number(port);
  if (portNumber > 65_535 || app === "" || stream === "") return undefined;
  const rest = url.slice(whole.length);
  const queryAt = rest.indexOf("?");
  return {
    scheme: scheme.toLowerCase(),
    host: host.startsWith("[") ? host.slice(1, -1) : host,
    port: portNumber,
    app,
    stream,
    query: queryAt < 0 ? "" : rest.slice(queryAt + 1),
  };
}

/**
 * The first value of a query key, undecoded. The first and never the last, because OvenMediaEngine edges append what their
 * viewers send behind what their operator configured.
 */
export function firstQueryValue(query: string, key: string): string | undefined {
  for (const pair of query.split("&")) {
    const at = pair.indexOf("=");
    if ((at < 0 ? pair : pair.slice(0, at)) === key) return at < 0 ? "" : pair.slice(at + 1);
  }
  return undefined;
}

/** `query` without any value of `key`. */
export function withoutQueryKey(query: string, key: string): string {
  return query
    .split("&")
    .filter((pair) => pair !== key && !pair.startsWith(`${key}=`))
    .join("&");
}
