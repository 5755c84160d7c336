import type { MiddlewareHandler } from "hono";
import { traceHeader } from "#cluster/trace/trace-id.ts";
import type { RouterContext, RouterTypes } from "./desk.ts";
import { traceOf } from "./tracing.ts";

/**
 * What every answer says, errors and redirects included. `*` and never the asking page's origin: after a cross-origin
 * redirect the browser sends `Origin: null`, to which only `*` is an answer (Fetch §3.3).
 */
export const everyAnswerHeaders: Readonly<Record<string, string>> = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Expose-Headers": "Location, Link, ETag, Retry-After, Accept-Patch, ID, X-Hearth-Trace",
  "Cache-Control": "no-store",
};

const entries = Object.entries(everyAnswerHeaders);

/** What a preflight asks; kept by the browser for a day. */
export const preflightHeaders: Readonly<Record<string, string>> = {
  "Access-Control-Allow-Methods": "OPTIONS, GET, HEAD, POST, PATCH, DELETE",
  "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, If-None-Match, traceparent",
  "Access-Control-Max-Age": "86400",
  "Access-Control-Allow-Private-Network": "true",
};

/**
 * Answers every preflight here: one that is redirected is a hard failure in every browser. An upgraded connection passes
 * untouched, because a copy of its response would have no socket.
 */
export const cors: MiddlewareHandler<RouterTypes> = async (c, next) => {
  if (c.req.method === "OPTIONS") return preflight();
  await next();
  if (c.get("isMarked") || c.res.status === 101) return undefined;
  try {
    markAnswer(c.res.headers);
  } catch {
    // What came from a node or the assets cannot be changed, only copied.
    const copy = new Response(c.res.body, c.res);
    markAnswer(copy.headers);
    c.res = copy;
  }
  return undefined;
};

const preflight = (): Response =>
  new Response(null, { status: 204, headers: { ...everyAnswerHeaders, ...preflightHeaders } });

/** The same for an answer of ours that no router gave: pages are told what is wrong, too. */
export function withCors(request: Request, answer: Response): Response {
  if (request.method === "OPTIONS") return preflight();
  markAnswer(answer.headers);
  return answer;
}

/** A node's own word on caching stands. */
function markAnswer(headers: Headers): void {
  for (const [name, value] of entries) if (name !== "Cache-Control" || !headers.has(name)) headers.set(name, value);
}

/**
 * A redirect to a node, with all that every answer says and the trace id: it is what the router answers most, and each header
 * set later costs as much as all of them at once.
 */
export function redirectTo(c: RouterContext, status: 302 | 307, url: string): Response {
  c.set("isMarked", true);
  return new Response(null, {
    status,
    headers: { ...everyAnswerHeaders, Location: url, [traceHeader]: traceOf(c).id },
  });
}
