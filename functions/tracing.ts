import type { MiddlewareHandler } from "hono";
import { newTraceId, parseTraceparent, traceHeader, traceparentOf } from "#cluster/trace/trace-id.ts";
import type { RouterContext, RouterTypes } from "./desk.ts";

/** One line of the router's log: plain values, never a secret. */
export type LogLine = (line: Readonly<Record<string, string | number | undefined>>) => void;

/** Under which id a request is logged. */
export interface Trace {
  readonly id: string;
  /** Whether the request came with a `traceparent`, readable or not: somebody follows it. */
  readonly isBrought: boolean;
}

/** The trace of this request: as its `traceparent` says, else made now. The same whenever it is asked for. */
export function traceOf(c: RouterContext): Trace {
  const known = c.get("trace");
  if (known !== undefined) return known;
  const parent = c.req.header("traceparent");
  const trace = { id: parseTraceparent(parent) ?? newTraceId(), isBrought: parent !== undefined };
  c.set("trace", trace);
  return trace;
}

/** The header by which a request that the router itself makes at a node carries the id. */
export const traceparentFor = (c: RouterContext): { readonly traceparent: string } => ({
  traceparent: traceparentOf(traceOf(c).id),
});

/** Says the trace id in the answer to whoever asked for a stream; pages and health have none. */
export const sayTrace: MiddlewareHandler<RouterTypes> = async (c, next) => {
  await next();
  const trace = c.get("trace");
  if (trace === undefined || c.get("isMarked")) return;
  try {
    c.res.headers.set(traceHeader, trace.id);
  } catch {
    // An upgrade that came from a node cannot be changed; the node said the same id in it.
  }
};
