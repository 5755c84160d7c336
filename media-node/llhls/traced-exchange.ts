import { traceHeader } from "../cluster/trace/trace-id.ts";
import type { PlainExchange } from "../core/guest.ts";
import { RewrittenExchange } from "../core/rewritten-exchange.ts";

const exposed = "Access-Control-Expose-Headers";

/** An exchange whose answer says the request's trace id, and lets pages read it; unless a cache may give it to others. */
export function tracedExchange(exchange: PlainExchange, trace: string): PlainExchange {
  return new RewrittenExchange(exchange, (headers) => {
    if (headers.some((text, at) => headers[at - 1] === "Cache-Control" && text.includes("max-age="))) return headers;
    // One line and not two: HTTP/2 knows each name once.
    const own = headers.map((text, at) => (headers[at - 1] === exposed ? `${text}, ${traceHeader}` : text));
    return [...own, traceHeader, trace];
  });
}
