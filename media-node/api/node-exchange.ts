import type { IncomingMessage, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { AnswerBody, PlainExchange } from "../core/guest.ts";

/** A request that node:http read, or node:http2 for it. */
export function exchangeOf(request: IncomingMessage, response: ServerResponse): PlainExchange {
  return {
    method: request.method ?? "GET",
    header(name) {
      const value = request.headers[name];
      return typeof value === "object" ? value.join(", ") : value;
    },
    get isOver() {
      return response.writableEnded || response.destroyed || response.headersSent;
    },
    send(status, headers, body = []) {
      if (response.writableEnded || response.destroyed || response.headersSent) return;
      response.writeHead(status, [...headers]);
      if (isComing(body) && request.method !== "HEAD") return sendComing(body, response);
      response.cork();
      if (request.method !== "HEAD" && !isComing(body)) for (const piece of body) response.write(piece);
      response.end();
      response.uncork();
    },
    onGone: (listener) => void response.once("close", () => void (response.writableEnded || listener())),
  };
}

export function isComing(body: AnswerBody): body is AsyncIterable<Uint8Array> {
  return Symbol.asyncIterator in body;
}

/** Writes a body as its client takes it; where it fails, the client sees the connection or stream break. */
export function sendComing(body: AsyncIterable<Uint8Array>, into: NodeJS.WritableStream): void {
  pipeline(Readable.from(body, { objectMode: false }), into).catch(() => {});
}
