import type { ServerResponse } from "node:http";

/** After a cross-origin redirect the browser sends `Origin: null`, so only `*` works; nothing here uses credentials. */
export const corsHeaders = { "Access-Control-Allow-Origin": "*" } as const;

/** An error as a sentence in JSON, readable by scripts of any origin, never cached. */
export function sendProblem(response: ServerResponse, status: number, error: string): void {
  response.writeHead(status, {
    ...corsHeaders,
    "Content-Type": "application/json; charset=utf-8",
    "Cache-Control": "no-store",
  });
  response.end(`${JSON.stringify({ error })}\n`);
}

export function sendJson(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, {
    ...corsHeaders,
    "Content-Type": "application/json; charset=utf-8",
    "Cache-Control": "no-store",
  });
  response.end(`${JSON.stringify(value)}\n`);
}
