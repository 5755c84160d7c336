/** The query key in which the router hands a trace id to the node; the node's door takes it out of the query. */
export const traceQueryKey = "rtid";

/** The header in which router and node tell a viewer the trace id of its request. */
export const traceHeader = "X-Hearth-Trace";

const idPattern = /^(?!0{32})[\da-f]{32}$/;
/** Version, trace id, parent id, flags; later versions may say more (W3C Trace Context §3.2.2, §3.2.4). */
const parentPattern = /^(?!ff)([\da-f]{2})-((?!0{32})[\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}(?:-|$)/;
/** What a traceparent of version 00 is long. */
const parentLength = 55;
/** What comes from a stranger is not looked at beyond this. */
const maxParentLength = 512;

type RandomBytes = (count: number) => Uint8Array;

/** Random bytes are fetched by the page: each call leaves the engine, which costs more than the bytes. */
const page = new Uint8Array(4_096);
let taken = page.length;

function webRandom(count: number): Uint8Array {
  if (taken + count > page.length) {
    crypto.getRandomValues(page);
    taken = 0;
  }
  taken += count;
  return page.subarray(taken - count, taken);
}

/**
 * The id that one viewer's request carries from the router to the origin, as it stands in all their logs: 32 hexadecimal
 * digits in lower case, not all zero (W3C Trace Context §3.2.2.3). It proves nothing and decides nothing.
 */
export function newTraceId(random: RandomBytes = webRandom): string {
  return notZero(hex(random(16)));
}

/** A trace id as another node or a query says it; undefined when it is none. */
export function parseTraceId(value: unknown): string | undefined {
  return typeof value === "string" && idPattern.test(value) ? value : undefined;
}

/** The trace id of a `traceparent` header; undefined when there is none, or it must be ignored (§3.2.2). */
export function parseTraceparent(value: string | undefined): string | undefined {
  if (value === undefined || value.length > maxParentLength) return undefined;
  const [, version, id] = parentPattern.exec(value) ?? [];
  return version === "00" && value.length !== parentLength ? undefined : id;
}

/** A `traceparent` to hand a request on by, with a parent id of its own. Not sampled: nobody collects spans. */
export function traceparentOf(traceId: string, random: RandomBytes = webRandom): string {
  return `00-${traceId}-${notZero(hex(random(8)))}-00`;
}

/** The trace id that a raw query carries, if it does, and the query without it, other pairs as they came. */
export function takeTraceId(rawQuery: string): { readonly traceId: string | undefined; readonly rawQuery: string } {
  if (!rawQuery.includes(traceQueryKey)) return { traceId: undefined, rawQuery };
  const pairs = rawQuery.split("&");
  const isTrace = (pair: string): boolean => pair === traceQueryKey || pair.startsWith(`${traceQueryKey}=`);
  const kept = pairs.filter((pair) => !isTrace(pair));
  if (kept.length === pairs.length) return { traceId: undefined, rawQuery };
  const traceId = parseTraceId(pairs.find(isTrace)!.slice(traceQueryKey.length + 1));
  return { traceId, rawQuery: kept.join("&") };
}

const digits = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += digits[byte];
  return text;
}

/** An id of zeros is none (§3.2.2.3, §3.2.2.4). */
const notZero = (id: string): string => (/[^0]/.test(id) ? id : id.replace(/.$/, "1"));
