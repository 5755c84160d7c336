import type { RouterContext } from "./desk.ts";

/** A request's URL, taken apart once. */
export interface AskedUrl {
  /** `http:` or `https:`. */
  readonly protocol: string;
  /** Scheme, host and port as a URL parser writes them, as are the next two. */
  readonly origin: string;
  readonly host: string;
  /** Without port. */
  readonly hostname: string;
  /** As it was sent: nothing decoded, no dots resolved; `/` at least. */
  readonly path: string;
  /** `?…` or empty, as a URL parser writes it: what may stand in a URL stands as it was sent. */
  readonly search: string;
}

type Place = Pick<AskedUrl, "protocol" | "origin" | "host" | "hostname">;

/** Routers have few names, and strangers make up any: past it all are parsed anew. */
const maxPlaces = 100;
const places = new Map<string, Place>();

/** The characters that a URL parser leaves alone in a query (WHATWG URL, special-query percent-encode set). */
const plainQuery = /^\?[!$-&(-;=?-~]+$/;

/**
 * Takes an absolute URL apart, without a URL parser where it has nothing to do: that costs as much as a decision.
 * @returns `undefined` when its host cannot exist
 */
export function takeUrlApart(url: string): AskedUrl | undefined {
  const [, start = "", path = "", query = ""] = /^([^:]+:\/\/[^/?#]*)([^?#]*)(\?[^#]*)?/.exec(url) ?? [];
  const place = placeAt(start);
  if (!place) return undefined;
  const search = query === "" || plainQuery.test(query) ? query : new URL(url).search;
  return { ...place, path: path || "/", search };
}

function placeAt(start: string): Place | undefined {
  const known = places.get(start);
  if (known) return known;
  // With a slash, or the parser would forgive blanks at the end of the host.
  if (!URL.canParse(`${start}/`)) return undefined;
  const { protocol, origin, host, hostname } = new URL(`${start}/`);
  const place = { protocol, origin, host, hostname };
  if (places.size >= maxPlaces) places.clear();
  places.set(start, place);
  return place;
}

/** The URL of this request; the app refuses requests that have none before any route. */
export const askedUrl = (c: RouterContext): AskedUrl => c.get("url");

/** A query's value, percent-decoded; `undefined` when it does not have the key. Most requests have no query at all. */
export function queryOf(c: RouterContext, key: string): string | undefined {
  const { search } = askedUrl(c);
  return search.includes(key) || search.includes("%") ? c.req.query(key) : undefined;
}
