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
  readonly header: (name: string) => string | undefined;
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
  const { url } = line;
  const mark = url.indexOf("?");
  const authority = line.authority ?? `localhost:${line.localPort}`;
  if (authority.length > maxHostLength || !/^[\w.\-[\]:]+$/.test(authority)) return undefined;
  const name = resolve(hostOf(authority), mark < 0 ? url : url.slice(0, mark));
  const rawQuery = mark < 0 ? "" : url.slice(mark + 1);
  if (!name) return undefined;
  const { address, isTls } = viewerAddress(line.remoteAddress ?? "", line.header, trustedProxies);
  const seen = isTls === undefined ? scheme : isTls ? "https" : "http";
  return new Target(name, rawQuery, `${seen}://${authority}`, address, line);
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
    const { rawQuery, traceId } = takeTraceId(asked);
    this.rawQuery = rawQuery;
    this.#trace = traceId;
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

/** `host:port` → `host`; IPv6 literals keep their brackets. */
function hostOf(authority: string): string {
  return authority.replace(/:\d*$/, "");
}
