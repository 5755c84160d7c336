import type { NodeRecord } from "#cluster/store/contract.ts";
import { ticketQueryKey, type ViewerProtocol } from "#cluster/ticket/ticket.ts";
import { traceQueryKey } from "#cluster/trace/trace-id.ts";
import type { RequestedStream } from "./requested-stream.ts";
import type { IssuedTicket } from "./tickets.ts";

/** Where a viewer goes: on a node, with the original query and a ticket. */
export interface NodeUrl {
  readonly url: string;
  readonly node: NodeRecord;
  /** Unix ms until which the URL can be opened. */
  readonly expiresMs: number;
}

/**
 * The URL of `path` on `node`. The viewer's query follows as it came, byte for byte, without an old ticket and trace id;
 * nothing in it can touch scheme, host or path.
 * @param search the request's `?…` or empty
 * @param trace the trace id, where the URL is what carries it
 */
export function ticketedUrl(
  node: NodeRecord,
  path: string,
  search: string,
  { ticket, expiresMs }: IssuedTicket,
  trace?: string,
): NodeUrl {
  const query = search === "" ? [] : withoutKey(withoutKey(search, ticketQueryKey).join("&"), traceQueryKey);
  if (ticket) query.push(`${ticketQueryKey}=${ticket}`);
  if (trace !== undefined) query.push(`${traceQueryKey}=${trace}`);
  return { url: `${node.url}${path}${query.length > 0 ? `?${query.join("&")}` : ""}`, node, expiresMs };
}

/** The pairs of a query but those of `key`, in their order and their spelling. */
export function withoutKey(search: string, key: string): string[] {
  return search
    .replace(/^\?/, "")
    .split("&")
    .filter((pair) => pair !== "" && pair !== key && !pair.startsWith(`${key}=`));
}

/** What pages ask for: `hls` is HLS version 3, with MPEG-TS segments. */
export type AskedProtocol = ViewerProtocol | "hls";

/** The path under which a node speaks a protocol, when the request did not name one. */
export function protocolPath(stream: RequestedStream, protocol: AskedProtocol): string {
  const base = `/${stream.name.app}/${stream.name.stream}`;
  if (protocol === "whep") return `${base}/whep`;
  if (protocol === "webrtc") return stream.path;
  // A playlist is known to be of that kind by its name alone, which every player hands on.
  if (protocol === "hls")
    return `${base}/ts:${stream.file.endsWith(".m3u8") ? stream.file.replace(/^ts:/, "") : "playlist.m3u8"}`;
  return stream.file.endsWith(".m3u8") ? stream.path : `${base}/llhls.m3u8`;
}
