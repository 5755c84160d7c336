import type { MiddlewareHandler } from "hono";

/**
 * What every answer says, errors and redirects included. `*` and never the asking page's origin: after a cross-origin
 * redirect the browser sends `Origin: null`, to which only `*` is an answer (Fetch §3.3).
 */
export const everyAnswerHeaders: Readonly<Record<string, string>> = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Expose-Headers": "Location, Link, ETag, Retry-After, Accept-Patch, ID",
  "Cache-Control": "no-store",
};

/** What a preflight asks; kept by the browser for a day. */
export const preflightHeaders: Readonly<Record<string, string>> = {
  "Access-Control-Allow-Methods": "OPTIONS, GET, HEAD, POST, PATCH, DELETE",
  "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, If-None-Match",
  "Access-Control-Max-Age": "86400",
  "Access-Control-Allow-Private-Network": "true",
};

/**
 * Answers every preflight here: one that is redirected is a hard failure in every browser. An upgraded connection passes
 * untouched, because a copy of its response would have no socket.
 */
export const cors: MiddlewareHandler = async (c, next) => {
  if (c.req.method === "OPTIONS")
    return new Response(null, { status: 204, headers: { ...everyAnswerHeaders, ...preflightHeaders } });
  await next();
  if (c.res.status === 101) return undefined;
  const answer = new Response(c.res.body, c.res);
  for (const [name, value] of Object.entries(everyAnswerHeaders)) {
    if (name !== "Cache-Control" || !answer.headers.has(name)) answer.headers.set(name, value);
  }
  c.res = answer;
  return undefined;
};
