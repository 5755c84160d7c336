import { newTraceId, parseTraceparent, takeTraceId } from "../cluster/trace/trace-id.ts";
import type { ViewerTarget } from "../core/guest.ts";
import { viewerAddress } from "./viewer-address.ts";

/** Path and host of a request, resolved to a stream's name; undefined when no virtual host answers to `host`. */
export type ResolveTarget = (
  host: string,
  path: string,
) => Pick<ViewerTarget, "vhost" | "app" | "stream" | "file"> | undefined;

/** What a request says about where it goes, over any version of HTTP. */
export interface RequestLine {
  /** Path and query. */
  readonly url: string;
  /** `Host`, or `:authority`. */
  readonly authority: string | undefined;
  readonly localPort: number | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** @param name in lower case */
  header(name: string): string | undefined;
}

/** Host names are at most 255 characters; more is an attack or a mistake. */
const maxHostLength = 261;

/**
 * @param trustedProxies whose word about the viewer counts
 * @returns undefined when the host is none of ours, or no host at all
 */
export function targetOf(
  line: RequestLine,
  scheme: string,
  resolve: ResolveTarget,
  trustedProxies: readonly string[] = [],
): ViewerTarget | undefined {
  const [url, named] = originForm(line.url);
  const mark = url.indexOf("?");
  const authority = named ?? line.authority ?? `localhost:${line.localPort}`;
  const host = hostOf(authority);
  const name = host === undefined ? undefined : resolve(host, mark < 0 ? url : url.slice(0, mark));
  if (!name) return undefined;
  const rawQuery = mark < 0 ? "" : url.slice(mark + 1);
  const peer = line.remoteAddress ?? "";
  if (trustedProxies.length === 0) return new Target(name, rawQuery, `${scheme}://${authority}`, peer, line);
  const { address, isTls } = viewerAddress(peer, (header) => line.header(header), trustedProxies);
  const seen = isTls === undefined ? scheme : isTls ? "https" : "http";
  return new Target(name, rawQuery, `${seen}://${authority}`, address, line);
}

/** What proxies are asked with names the host itself, which then counts (RFC 9112 §3.2.2). */
function originForm(url: string): readonly [path: string, authority: string | undefined] {
  if (url.startsWith("/")) return [url, undefined];
  const [, authority, path = ""] = /^https?:\/\/([^/?#]+)(.*)$/i.exec(url) ?? [];
  return authority === undefined ? [url, undefined] : [path.startsWith("/") ? path : `/${path}`, authority];
}

/** Takes the query apart when it is asked for: most requests are for parts, which have none. */
class Target implements ViewerTarget {
  readonly vhost: string;
  readonly app: string;
  readonly stream: string;
  readonly file: string;
  readonly rawQuery: string;
  readonly baseUrl: string;
  readonly remoteAddress: string;
  readonly #line: RequestLine;
  #query: URLSearchParams | undefined;
  #trace: string | undefined;

  /** @param asked the raw query; the trace id in it is nobody's business but the log's */
  constructor(
    { vhost, app, stream, file }: Pick<ViewerTarget, "vhost" | "app" | "stream" | "file">,
    asked: string,
    baseUrl: string,
    remoteAddress: string,
    line: RequestLine,
  ) {
    this.vhost = vhost;
    this.app = app;
    this.stream = stream;
    this.file = file;
    if (asked === "") this.rawQuery = asked;
    else ({ rawQuery: this.rawQuery, traceId: this.#trace } = takeTraceId(asked));
    this.baseUrl = baseUrl;
    this.remoteAddress = remoteAddress;
    this.#line = line;
  }

  get peer(): { readonly address: string; readonly port: number } {
    return { address: this.#line.remoteAddress ?? "", port: this.#line.remotePort ?? 0 };
  }

  get userAgent(): string {
    return this.#line.header("user-agent") ?? "";
  }

  get trace(): string {
    return (this.#trace ??= parseTraceparent(this.#line.header("traceparent")) ?? newTraceId());
  }

  get query(): URLSearchParams {
    return (this.#query ??= new URLSearchParams(this.rawQuery));
  }
}

/** Most requests say the same as the one before. */
let known: { readonly authority: string; readonly host: string } | undefined;

/** `host:port` → `host`; IPv6 literals keep their brackets. Undefined for what is no host. */
function hostOf(authority: string): string | undefined {
  if (known?.authority === authority) return known.host;
  if (authority.length > maxHostLength || !/^[\w.\-[\]:]+$/.test(authority)) return undefined;
  known = { authority, host: authority.replace(/:\d*$/, "") };
  return known.host;
}
