import { matchHost } from "../cluster/origin-map/choose-vhost.ts";
import type { CrossDomainsConfig } from "./server-config.ts";

/** What a browser's request says about the page it comes from. */
export interface CrossDomainRequest {
  readonly origin: string | undefined;
  /** `Access-Control-Request-Headers`, of a preflight. */
  readonly requestedHeaders: string | undefined;
  readonly methods: string;
  /** Whether the request was sent on by this cluster's router, or by a node that goes: browsers then say `null` for whatever page it was. */
  readonly isSentOn: boolean;
}

/**
 * The CORS headers of every answer, as names and values in turn (Fetch §3.2; OvenMediaEngine's `CrossDomains`): `*` for
 * every page, else the page's own origin where one of the patterns fits it. Without a fit the page must not read the
 * answer, and none of them is sent.
 */
export function crossDomainHeaders(config: CrossDomainsConfig, request: CrossDomainRequest): readonly string[] {
  const { origin, requestedHeaders, methods, isSentOn } = request;
  const isOpen = config.urls.includes("*");
  if (!isOpen && !(origin !== undefined && (isListed(config.urls, origin) || (isSentOn && origin === "null"))))
    return [];
  const headers = new Map<string, [name: string, value: string]>();
  const set = (name: string, value: string): unknown => headers.set(name.toLowerCase(), [name, value]);
  set("Access-Control-Allow-Origin", isOpen ? "*" : origin!);
  // Browsers refuse an answer that allows credentials to everybody.
  if (!isOpen) set("Access-Control-Allow-Credentials", "true");
  set("Access-Control-Allow-Methods", methods);
  if (requestedHeaders !== undefined) set("Access-Control-Allow-Headers", requestedHeaders);
  for (const { key, value } of config.headers) set(key, value);
  return [...headers.values()].flat();
}

/** Entries without scheme fit pages of http and https; `*` and `?` are wildcards. */
function isListed(urls: readonly string[], origin: string): boolean {
  const [scheme = "", host] = origin.toLowerCase().split("://", 2);
  return urls.some((url) => {
    const [wanted = "", ...rest] = url.toLowerCase().split("://");
    if (host === undefined) return wanted === scheme && rest.length === 0;
    if (rest.length === 0) return ["http", "https"].includes(scheme) && matchHost(wanted, host);
    return wanted === scheme && matchHost(rest.join("://"), host);
  });
}

/** Whether a name and value can stand in a header (RFC 9110 §5). */
export function isHeader({ key, value }: { readonly key: string; readonly value: string }): boolean {
  return /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/.test(key) && /^[\t\x20-\x7e]*$/.test(value);
}
