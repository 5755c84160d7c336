import type { NodeRecord } from "#cluster/store/contract.ts";
import { signTicket, ticketQueryKey, type TicketScope, type ViewerProtocol } from "#cluster/ticket/ticket.ts";
import type { SigningKey } from "#cluster/ticket/signing-key.ts";
import type { RequestedStream } from "./requested-stream.ts";

/** Where a viewer goes: on a node, with the original query and a ticket. */
export interface NodeUrl {
  readonly url: string;
  readonly node: NodeRecord;
  /** Unix ms until which the URL can be opened. */
  readonly expiresMs: number;
}

/**
 * The URL of `path` on `node`. The viewer's query follows as it came, byte for byte, without an old ticket; nothing in it
 * can touch scheme, host or path.
 * @param search the request's `?…` or empty
 * @param key `undefined` in a cluster without a secret: no ticket is added
 */
export async function ticketedUrl(
  node: NodeRecord,
  asked: { stream: RequestedStream; protocol: ViewerProtocol; path: string; search: string },
  key: SigningKey | undefined,
  nowMs: number,
): Promise<NodeUrl> {
  const scope: TicketScope = { node: node.id, name: asked.stream.name, protocol: asked.protocol };
  const query = withoutKey(asked.search, ticketQueryKey);
  if (key) query.push(`${ticketQueryKey}=${await signTicket(key, scope, nowMs)}`);
  const search = query.length > 0 ? `?${query.join("&")}` : "";
  return { url: `${node.url}${asked.path}${search}`, node, expiresMs: nowMs + 60_000 };
}

/** The pairs of a query but those of `key`, in their order and their spelling. */
export function withoutKey(search: string, key: string): string[] {
  return search
    .replace(/^\?/, "")
    .split("&")
    .filter((pair) => pair !== "" && pair !== key && !pair.startsWith(`${key}=`));
}

/** The path under which a node speaks a protocol, when the request did not name one. */
export function protocolPath(stream: RequestedStream, protocol: ViewerProtocol): string {
  const base = `/${stream.name.app}/${stream.name.stream}`;
  if (protocol === "whep") return `${base}/whep`;
  if (protocol === "webrtc") return stream.path;
  return stream.file.endsWith(".m3u8") ? stream.path : `${base}/llhls.m3u8`;
}
