import type { IncomingMessage, ServerResponse } from "node:http";
import {
  createServer,
  Http2ServerRequest,
  Http2ServerResponse,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import type { PlainExchange } from "../core/guest.ts";
import { Http2Exchange } from "./http2-exchange.ts";
import type { RequestLine } from "./request-target.ts";

export interface Http2SideOptions {
  /** Offers a request without a body to the guests; false when none takes it. */
  readonly serve: (exchange: PlainExchange, line: RequestLine) => boolean;
  /** Answers every other request, by node:http's classes. */
  readonly request: (request: IncomingMessage, response: ServerResponse) => void;
}

/** A player needs two reloads, two parts and a playlist at a time; a page with many players some more. */
const maxConcurrentStreams = 100;
/** Streams a client may cancel at once, and a second (CVE-2023-44487). hls.js cancels one at a change of level. */
const resets = { streamResetBurst: 200, streamResetRate: 20 };
const idleMs = 30_000;

/** The HTTP/2 connections of a door (RFC 9113). */
export class Http2Side {
  readonly #options: Http2SideOptions;
  readonly #server: Http2Server;

  constructor(options: Http2SideOptions) {
    this.#options = options;
    this.#server = createServer({
      ...resets,
      settings: { maxConcurrentStreams, enablePush: false },
    });
    this.#server.on("session", (session) => {
      session.setTimeout(idleMs, () => {
        // Says good-bye to who is idle; who has stopped taking what was sent is cut off.
        session.close();
        setTimeout(() => session.destroy(), 1_000).unref();
      });
      session.on("error", () => session.destroy());
    });
    this.#server.on("sessionError", () => {});
    this.#server.on("stream", (stream, headers, _flags, raw) => this.#answer(stream, headers, raw));
  }

  /** Takes a connection on which both sides agreed on HTTP/2. */
  accept(socket: Socket): void {
    this.#server.emit("connection", socket);
  }

  #answer(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, raw: string[]): void {
    // A client that cancels is no error of ours; what must end with it has a listener of its own.
    stream.on("error", () => {});
    const { localPort, remoteAddress, remotePort } = stream.session?.socket ?? {};
    const authority = (headers[":authority"] ?? headers.host)?.toString();
    const header = (name: string): string | undefined => headers[name]?.toString();
    const line = { url: headers[":path"] ?? "/", authority, localPort, remoteAddress, remotePort, header };
    const hasBody = headers[":method"] !== "GET" && headers[":method"] !== "HEAD";
    if (!hasBody && this.#options.serve(new Http2Exchange(stream, headers), line)) return;
    const request = new Http2ServerRequest(stream, headers, {}, raw);
    const response = new Http2ServerResponse(stream);
    // The classes are made to stand in for those of HTTP/1.1, which the types do not say.
    this.#options.request(request as unknown as IncomingMessage, response as unknown as ServerResponse);
  }
}
