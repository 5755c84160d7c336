import { forwardedQuery } from "./forwarded-query.ts";
import type { OriginRule } from "./origin-rule.ts";
import { nameProblem } from "./split-path.ts";

/** One URL of a rule, put together for a request. */
export interface BuiltUrl {
  /** As OvenMediaEngine would put it together, the query made safe. Not normalised: dots and escapes are opaque. */
  readonly url: string;
  /** `host`, `host:port` or `user:password@host:port`, exactly as in the rule. */
  readonly authority: string;
  /** Why it must not be pulled. */
  readonly refused?: string;
}

export interface BuildUrlsOptions {
  /** Query keys of ours that no origin may see, besides the built-in ones: those of the signed policy. */
  readonly ownQueryKeys?: readonly string[];
}

/**
 * The URLs to pull for a request that `rule` fits, in the rule's order. Nothing of the request reaches scheme, host or
 * port, and its query reaches nothing but the query: a URL for which that would not hold is marked `refused`.
 * @param rawQuery as it came, without `?`
 */
export function buildUrls(
  rule: OriginRule,
  app: string,
  stream: string,
  rawQuery: string,
  options: BuildUrlsOptions = {},
): readonly BuiltUrl[] {
  const remaining = `/${app}/${stream}`.slice(rule.location.length);
  const scheme = rule.scheme.toLowerCase();
  const forwarded =
    rule.forwardQueryParams && scheme !== "file"
      ? forwardedQuery(rawQuery, ownKeysFor(scheme, options.ownQueryKeys ?? []))
      : "";
  const nameRefused = nameProblem("app", app) ?? nameProblem("stream", stream);
  return rule.urls.map((configured) => {
    const { authority, path, query } = takeApart(configured, scheme);
    const joined = [query, forwarded].filter((part) => part !== undefined && part !== "").join("&");
    const hasQuery = query !== undefined || joined !== "";
    const whole = scheme === "file" ? escapePath(path + remaining) : path + remaining;
    const url = `${rule.scheme}://${authority}${whole}${hasQuery ? `?${joined}` : ""}`;
    const refused = nameRefused ?? pathProblem(scheme, authority, path, remaining, app, stream);
    return refused === undefined ? { url, authority } : { url, authority, refused };
  });
}

/** Files have plain names in the configuration, and what a request adds to one is never unescaped into another path. */
function escapePath(path: string): string {
  return path
    .split("/")
    .map((segment) => encodeURIComponent(segment.toWellFormed()))
    .join("/");
}

/** How an RTSP source is reached is for its rule to say, by `?transport=` in the Url: players send that key, too. */
function ownKeysFor(scheme: string, keys: readonly string[]): readonly string[] {
  return scheme === "rtsp" || scheme === "rtsps" ? [...keys, "transport"] : keys;
}

function takeApart(configured: string, scheme: string): { authority: string; path: string; query: string | undefined } {
  if (scheme === "file") return { authority: "", path: configured, query: undefined };
  const mark = configured.indexOf("?");
  const base = mark < 0 ? configured : configured.slice(0, mark);
  const query = mark < 0 ? undefined : configured.slice(mark + 1);
  const slash = base.indexOf("/");
  if (slash < 0) return { authority: base, path: "", query };
  return { authority: base.slice(0, slash), path: base.slice(slash), query };
}

function pathProblem(
  scheme: string,
  authority: string,
  path: string,
  remaining: string,
  app: string,
  stream: string,
): string | undefined {
  if (/[\s\\]/.test(authority) || authority.endsWith(":")) return "the rule's Url is not host:port/path";
  if (scheme === "file") {
    if (!path.startsWith("/")) return "the rule's Url is not an absolute path";
  } else if (path === "" && remaining !== "" && !remaining.startsWith("/")) {
    // The request would continue the host or the port: `o:90` and `/` make `o:900app` of `/0app/s`.
    return "the rule's Url ends without a slash, so the stream's name would become part of the host";
  }
  // OVT names are opaque. Servers of files and RTSP may resolve dots, and so leave the rule's path.
  if (!/^ovts?$/.test(scheme) && [app, stream].some((name) => /^(?:\.|%2e){1,2}$/i.test(name))) {
    return "a name of dots could leave the rule's path";
  }
  return undefined;
}
