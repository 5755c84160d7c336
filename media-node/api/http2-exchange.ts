import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from "node:http2";
import type { AnswerBody, PlainExchange } from "../core/guest.ts";
import { isComing, sendComing } from "./node-exchange.ts";

/** Header objects by the array they were given as. Each has room for the status, which most answers share. */
const headerObjects = new WeakMap<readonly string[], OutgoingHttpHeaders>();

function headerObject(status: number, headers: readonly string[]): OutgoingHttpHeaders {
  const known = headerObjects.get(headers);
  if (known?.[":status"] === status) return known;
  const made: OutgoingHttpHeaders = { ":status": status };
  for (let index = 0; index < headers.length; index += 2) made[headers[index]!.toLowerCase()] = headers[index + 1];
  headerObjects.set(headers, made);
  return made;
}

/** A request on a stream of an HTTP/2 connection. */
export class Http2Exchange implements PlainExchange {
  readonly method: string;
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders) {
    this.#stream = stream;
    this.#headers = headers;
    this.method = String(headers[":method"]);
  }

  get isOver(): boolean {
    return this.#stream.headersSent || this.#stream.destroyed || this.#stream.closed;
  }

  header(name: string): string | undefined {
    const value = this.#headers[name];
    return typeof value === "object" ? value.join(", ") : value;
  }

  send(status: number, headers: readonly string[], body: AnswerBody = []): void {
    if (this.isOver) return;
    const stream = this.#stream;
    const isEmpty = this.method === "HEAD" || (!isComing(body) && body.length === 0);
    stream.respond(headerObject(status, headers), { endStream: isEmpty });
    if (isEmpty) return;
    if (isComing(body)) return sendComing(body, stream);
    stream.cork();
    for (let index = 0; index < body.length - 1; index++) stream.write(body[index]);
    stream.end(body.at(-1));
    stream.uncork();
  }

  onGone(listener: () => void): void {
    const stream = this.#stream;
    stream.once("close", () => void (stream.headersSent || listener()));
  }
}
