import type { IncomingMessage, ServerResponse } from "node:http";
import type { PlainExchange } from "../core/guest.ts";

/** A request that node:http read, or node:http2 for it. */
export function exchangeOf(request: IncomingMessage, response: ServerResponse): PlainExchange {
  return {
    method: request.method ?? "GET",
    header(name) {
      const value = request.headers[name];
      return typeof value === "object" ? value.join(", ") : value;
    },
    get isOver() {
      return response.writableEnded || response.destroyed;
    },
    send(status, headers, body = []) {
      if (response.writableEnded || response.destroyed) return;
      response.writeHead(status, [...headers]);
      response.cork();
      if (request.method !== "HEAD") for (const piece of body) response.write(piece);
      response.end();
      response.uncork();
    },
    onGone: (listener) => void response.once("close", () => void (response.writableEnded || listener())),
  };
}
