import { isSignatureOf, signText, type SigningKey } from "../ticket/signing-key.ts";
import type { NodeRecord } from "./contract.ts";
import { nodeLeaseMs, storeLimits } from "./keys.ts";

/** A record as it came from the store, with the store's time at which its node signed it. */
export interface PublishedNode {
  readonly record: NodeRecord;
  readonly signedMs: number;
}

/** Why a record is not believed; stable, so that it can be counted. */
export type NodeRecordRefusal = "too-long" | "malformed" | "forged" | "stale";

export type NodeRecordVerdict =
  | ({ readonly trusted: true } & PublishedNode)
  | { readonly trusted: false; readonly refusal: NodeRecordRefusal; readonly id: string };

/** The store drops a record after its lease; beyond this age someone played an old one back. */
const maxAgeMs = nodeLeaseMs + 4_000;
const purpose = "hearth node 1";
const maxStreams = 10_000;
/** `vhost/app/stream`, each part up to 256 characters. */
const maxNameLength = 770;

/**
 * The text a node publishes: `signature.{"at":…,"record":{…}}`. JSON stays readable in the store, the signature makes it
 * true. A node with more streams than fit the store's limit names those most watched, and no audiences.
 * @param key `undefined` in a cluster without a secret: the signature is then empty
 * @param signedMs now by the store's clock: an old record that someone wrote again is recognised by it
 */
export async function signNodeRecord(
  key: SigningKey | undefined,
  record: NodeRecord,
  signedMs: number,
): Promise<string> {
  let body = bodyOf(record, signedMs);
  for (let keep = Object.keys(record.streams).length; keep > 0 && !fits(body); keep = Math.floor(keep / 2))
    body = bodyOf({ ...record, streams: mostWatched(record.streams, keep), audiences: {} }, signedMs);
  return `${key ? await signText(key, purpose, body) : ""}.${body}`;
}

/**
 * Reads what {@link signNodeRecord} wrote and what a stranger may have written instead. Never throws.
 * @param nowMs the store's clock when it was read
 */
export async function parseNodeRecord(
  key: SigningKey | undefined,
  text: string,
  nowMs: number,
): Promise<NodeRecordVerdict> {
  const refuse = (refusal: NodeRecordRefusal, id = ""): NodeRecordVerdict => ({ trusted: false, refusal, id });
  if (text.length > storeLimits.recordBytes) return refuse("too-long");
  const dot = text.indexOf(".");
  if (dot < 0) return refuse("malformed");
  const body = text.slice(dot + 1);
  if (key && !(await isSignatureOf(key, purpose, body, text.slice(0, dot)))) return refuse("forged", claimedId(body));
  const published = parseBody(body);
  if (!published) return refuse("malformed", claimedId(body));
  if (Math.abs(nowMs - published.signedMs) > maxAgeMs) return refuse("stale", published.record.id);
  return { trusted: true, ...published };
}

const bodyOf = (record: NodeRecord, signedMs: number): string => JSON.stringify({ at: Math.round(signedMs), record });

const fits = (body: string): boolean => body.length + 44 <= storeLimits.recordBytes;

function mostWatched(streams: NodeRecord["streams"], count: number): NodeRecord["streams"] {
  const ranked = Object.entries(streams).toSorted(([, a], [, b]) => b - a);
  return Object.fromEntries(ranked.slice(0, count));
}

/** Whom an unbelieved record speaks of, for the operator; cut to what is safe to show. */
function claimedId(body: string): string {
  return /"id":"([\w.-]{1,64})"/.exec(body)?.[1] ?? "";
}

function parseBody(body: string): PublishedNode | undefined {
  try {
    const value: unknown = JSON.parse(body);
    if (!isObject(value) || !isCount(value["at"]) || !isNodeRecord(value["record"])) return undefined;
    return { record: value["record"], signedMs: value["at"] };
  } catch {
    return undefined;
  }
}

function isNodeRecord(value: unknown): value is NodeRecord {
  if (!isObject(value)) return false;
  const {
    id,
    url,
    state,
    protocols,
    region,
    viewers,
    maxViewers,
    egressBps,
    cpu,
    streams,
    audiences,
    origins,
    startedMs,
  } = value;
  return (
    typeof id === "string" &&
    /^[\w.-]{1,64}$/.test(id) &&
    isNodeUrl(url) &&
    (state === "starting" || state === "serving" || state === "draining") &&
    isList(protocols, 8, (name) => name === "webrtc" || name === "whep" || name === "llhls") &&
    typeof region === "string" &&
    region.length <= 64 &&
    [viewers, maxViewers, egressBps, cpu, startedMs].every(isCount) &&
    isStreams(streams) &&
    (audiences === undefined || isStreams(audiences)) &&
    isList(origins, maxStreams, isShortText)
  );
}

/**
 * Only `http(s)://host[:port]`, written as a URL parser would write it: whoever is redirected there lands where the text
 * says, with no user name, path, or unusual spelling of an address in it.
 */
function isNodeUrl(url: unknown): url is string {
  if (typeof url !== "string" || url.length > 256 || !/^https?:\/\//.test(url)) return false;
  return URL.canParse(url) && new URL(url).origin === url;
}

function isStreams(value: unknown): boolean {
  if (!isObject(value)) return false;
  const entries = Object.entries(value);
  return entries.length <= maxStreams && entries.every(([name, viewers]) => isShortText(name) && isCount(viewers));
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isCount = (value: unknown): value is number => typeof value === "number" && Number.isFinite(value) && value >= 0;
const isShortText = (value: unknown): boolean => typeof value === "string" && value.length <= maxNameLength;
const isList = (value: unknown, max: number, isItem: (item: unknown) => boolean): boolean =>
  Array.isArray(value) && value.length <= max && value.every(isItem);
