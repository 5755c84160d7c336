import type { IncomingMessage, ServerResponse } from "node:http";
import { corsHeaders } from "./http-answers.ts";

/** Where a node is in its life, as its record says it. */
export type NodeState = "starting" | "serving" | "draining";

/**
 * Answers the questions of load balancers, DNS servers and orchestrators; false for any other path. `/-/readyz` (and
 * `/-/health`): may viewers be sent here? `/-/livez`: does the process answer at all?
 */
export function answerHealth(request: IncomingMessage, response: ServerResponse, state: NodeState): boolean {
  const path = (request.url ?? "/").split("?", 1)[0];
  const isLiveness = path === "/-/livez";
  if (!isLiveness && path !== "/-/readyz" && path !== "/-/health") return false;
  const isGood = isLiveness || state === "serving";
  const word = isLiveness ? "alive" : isGood ? "ready" : state;
  response.writeHead(isGood ? 200 : 503, {
    ...corsHeaders,
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-store",
    ...(!isGood && { "Retry-After": "2" }),
  });
  response.end(request.method === "HEAD" ? undefined : `${word}\n`);
  return true;
}
