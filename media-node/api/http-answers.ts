import type { IncomingMessage, ServerResponse } from "node:http";

/** After a cross-origin redirect the browser sends `Origin: null`, so only `*` works; nothing here uses credentials. */
export const corsHeaders = { "Access-Control-Allow-Origin": "*" } as const;

/** Of an answer without a body to a request that failed here; what stands in a cache outlives the fault. */
export const faultHeaders: readonly string[] = [
  ...Object.entries(corsHeaders).flat(),
  "Cache-Control",
  "no-store",
  "Content-Length",
  "0",
];

/** An error as a sentence in JSON, readable by scripts of any origin, never cached. */
export function sendProblem(response: ServerResponse, status: number, error: string): void {
  response.writeHead(status, {
    ...corsHeaders,
    "Content-Type": "application/json; charset=utf-8",
    "Cache-Control": "no-store",
  });
  response.end(`${JSON.stringify({ error })}\n`);
}

/**
 * Answers a preflight that no guest takes: were it refused, the browser would tell the page of that, and never that there is
 * no such stream.
 */
export function sendPreflight(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(204, {
    ...corsHeaders,
    "Access-Control-Allow-Methods": "OPTIONS, GET, HEAD, POST, PATCH, DELETE",
    "Access-Control-Allow-Headers": request.headers["access-control-request-headers"] ?? "*",
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "600",
    "Cache-Control": "no-store",
  });
  response.end();
}

export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, {
    ...corsHeaders,
    "Content-Type": "application/json; charset=utf-8",
    "Cache-Control": "no-store",
  });
  response.end(`${JSON.stringify(value)}\n`);
}
