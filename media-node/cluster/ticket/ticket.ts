import type { ClusterStreamName } from "../store/contract.ts";
import { fromBase64Url, isSignatureOf, signText, toBase64Url, type SigningKey } from "./signing-key.ts";

/** How a viewer asks: OvenMediaEngine's signalling over WebSocket, WHEP, or LL-HLS. */
export type ViewerProtocol = "webrtc" | "whep" | "llhls";

/**
 * What a ticket admits: one viewer to one stream, by one protocol, at one node; `warm` asks a node to have the stream at
 * hand for viewers who are about to come.
 */
export interface TicketScope {
  readonly node: string;
  readonly name: ClusterStreamName;
  readonly protocol: ViewerProtocol | "warm";
}

/** Why a node refuses a viewer; stable, so that it can be counted. */
export type TicketRefusal =
  "missing" | "malformed" | "forged" | "expired" | "other-node" | "other-stream" | "other-protocol";

export type TicketVerdict =
  | {
      readonly admitted: true;
      readonly expiresMs: number;
      /** Unix ms at which the session must be cut: the viewer's signed policy says so. */
      readonly sessionEndsMs?: number;
    }
  | { readonly admitted: false; readonly refusal: TicketRefusal };

/** The query key in which the router hands the ticket to the player, and the player to the node. */
export const ticketQueryKey = "rt";

/** A ticket is for following a redirect, not for keeping: what a player needs to open its first connection. */
export const ticketLifetimeMs = 60_000;
/** How far a node's clock may be from the router's. */
const clockToleranceMs = 5_000;
const purpose = "hearth ticket 1";
/** Names of 3 × 256 bytes, base64, and the rest. */
const maxTicketLength = 2_048;

/**
 * Signs a ticket of at most {@link ticketLifetimeMs}: `payload.signature`, safe in a query as it is.
 * @param nowMs Unix ms at which it is issued
 * @param sessionEndsMs Unix ms at which the node has to cut the session; without it, never
 */
export async function signTicket(
  key: SigningKey,
  scope: TicketScope,
  nowMs: number,
  sessionEndsMs?: number,
): Promise<string> {
  const { vhost, app, stream } = scope.name;
  const claims: Claims = [scope.node, vhost, app, stream, scope.protocol, nowMs + ticketLifetimeMs, sessionEndsMs ?? 0];
  const payload = toBase64Url(new TextEncoder().encode(JSON.stringify(claims)));
  return `${payload}.${await signText(key, purpose, payload)}`;
}

/**
 * Whether `ticket` admits a viewer in this scope now. Never throws: a ticket is a stranger's input.
 * @param nowMs Unix ms at the node
 */
export async function verifyTicket(
  key: SigningKey,
  ticket: string | null | undefined,
  scope: TicketScope,
  nowMs: number,
): Promise<TicketVerdict> {
  const claims = await readTicket(key, ticket);
  if (typeof claims === "string") return refuse(claims);
  const [node, vhost, app, stream, protocol, expiresMs, sessionEndsMs] = claims;
  if (nowMs > expiresMs + clockToleranceMs || expiresMs > nowMs + ticketLifetimeMs + clockToleranceMs)
    return refuse("expired");
  if (node !== scope.node) return refuse("other-node");
  if (vhost !== scope.name.vhost || app !== scope.name.app || stream !== scope.name.stream)
    return refuse("other-stream");
  if (protocol !== scope.protocol) return refuse("other-protocol");
  return sessionEndsMs > 0 ? { admitted: true, expiresMs, sessionEndsMs } : { admitted: true, expiresMs };
}

/**
 * Unix ms at which this cluster's router issued the ticket, whatever it is for; `undefined` when it did not. A router that
 * is handed what it issued a moment ago is in a loop.
 */
export async function ticketIssuedMs(key: SigningKey, ticket: string): Promise<number | undefined> {
  const claims = await readTicket(key, ticket);
  return typeof claims === "string" ? undefined : claims[5] - ticketLifetimeMs;
}

/** The signature is checked before anything the ticket says is looked at. */
async function readTicket(
  key: SigningKey,
  ticket: string | null | undefined,
): Promise<Claims | "missing" | "malformed" | "forged"> {
  if (!ticket) return "missing";
  const dot = ticket.indexOf(".");
  if (dot < 0 || ticket.length > maxTicketLength) return "malformed";
  const payload = ticket.slice(0, dot);
  if (!(await isSignatureOf(key, purpose, payload, ticket.slice(dot + 1)))) return "forged";
  return parseClaims(payload) ?? "malformed";
}

type Claims = readonly [
  node: string,
  vhost: string,
  app: string,
  stream: string,
  protocol: string,
  expiresMs: number,
  sessionEndsMs: number,
];

function parseClaims(payload: string): Claims | undefined {
  const bytes = fromBase64Url(payload);
  if (!bytes) return undefined;
  try {
    const claims: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
    return isClaims(claims) ? claims : undefined;
  } catch {
    return undefined;
  }
}

function isClaims(value: unknown): value is Claims {
  return (
    Array.isArray(value) &&
    value.length === 7 &&
    value.slice(0, 5).every((part) => typeof part === "string") &&
    value.slice(5).every((part) => Number.isSafeInteger(part))
  );
}

const refuse = (refusal: TicketRefusal): TicketVerdict => ({ admitted: false, refusal });
