import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import type { HttpGuest, PlainExchange, ViewerTarget } from "../core/guest.ts";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import type { Certificates } from "./certificates.ts";
import { answerHealth, type NodeState } from "./health.ts";
import { newLentMemory, readLent, type DirectSockets, type LentMemory } from "./direct-sockets.ts";
import { faultHeaders, sendPreflight, sendProblem } from "./http-answers.ts";
import { Http2Side } from "./http2-side.ts";
import { listenOn } from "./listen.ts";
import { exchangeOf } from "./node-exchange.ts";
import { PlainConnection, type PlainDoor } from "./plain-connection.ts";
import { targetOf, type RequestLine, type ResolveTarget } from "./request-target.ts";

export interface HttpServerOptions {
  readonly port: number;
  /** Address to listen on; undefined = all. */
  readonly address?: string;
  readonly guests: readonly HttpGuest[];
  readonly resolve: ResolveTarget;
  /** How viewers reach this door; `https` where it, or something in front of it, speaks TLS. */
  readonly scheme: "http" | "https";
  /** Speaks TLS; with HTTP/2 to clients that offer it. */
  readonly tls?: { readonly certificates: Certificates; readonly hasHttp2: boolean };
  /** Addresses and networks whose word about the viewer's address counts; as of now. */
  readonly trustedProxies?: () => readonly string[];
  /** What `/-/readyz` and `/-/health` say: 200 while serving, 503 otherwise. */
  readonly state: () => NodeState;
  readonly logger: Logger;
  /**
   * Has a faster way in and out for plain connections, asked for when a crowd is there; without it, or where it takes nothing,
   * requests and answers go by their sockets' streams.
   */
  readonly openDirectSockets?: () => DirectSockets | undefined;
  /** Names the setting in the error when the port is taken. */
  readonly portSetting: string;
}

export interface HttpServer {
  readonly port: number;
  /** Sent to viewers since the start, headers included. */
  readonly bytesSent: number;
  /** Connections made from now on get the certificates as they were last loaded. */
  useCertificates(): void;
  /** Stops accepting, lets answers that are under way end, cuts what takes longer. Resolves when all are gone. */
  close(): Promise<void>;
}

/** The viewers' door of a node: splits the path, finds the virtual host, and offers the request to each guest in turn. */
export async function listenForViewers(options: HttpServerOptions): Promise<HttpServer> {
  const door = new ViewerDoor(options);
  await door.listen();
  return door;
}

/** Node closes what sends no whole head, no whole request, or nothing at all for so long. */
const timeouts = { headersTimeout: 10_000, requestTimeout: 15_000, keepAliveTimeout: 20_000 };
const handshakeTimeoutMs = 10_000;
/**
 * Connections made while the loop is busy; the system may hold fewer (`net.core.somaxconn`). One that finds no room tries
 * again after a second, then two, then four: at Node's own 511 that is a crowd that comes together.
 */
const backlog = 4_096;
/**
 * Of the requests that were sent ahead, on whichever connection, one is answered in this time. No player sends any; who does
 * has the system take megabytes for a client that reads nothing, and would keep all others waiting.
 */
const aheadEveryMs = 1;
/** From so many connections on, the faster way is worth the 6 MB that it takes. */
const crowd = 32;
/** For answers under way when the door closes: a segment on a slow line takes longer, and is cut. */
const answersEndMs = 300;

class ViewerDoor implements HttpServer, PlainDoor {
  readonly #options: HttpServerOptions;
  readonly #server: Server | TlsServer;
  readonly #http2: Http2Side | undefined;
  readonly #sockets = new Set<Socket>();
  readonly #plain = new Set<PlainConnection>();
  /** Have requests that were sent ahead. */
  readonly #later = new Set<PlainConnection>();
  #isLaterPlanned = false;
  /** Node's own way of serving a connection. */
  readonly #takeOver: (socket: Socket) => void;
  readonly #second: NodeJS.Timeout;
  /** Those of node:http. */
  readonly #answering = new Set<ServerResponse>();
  readonly #openedMs = performance.now();
  #bytesOfClosed = 0;
  #bytesDirect = 0;
  direct: DirectSockets | undefined;
  #lentMemory: LentMemory | undefined;
  #hasCrowd = false;
  nowSeconds = 0;
  date = new Date().toUTCString();

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const { tls } = options;
    this.#server = tls ? tlsServerOf(tls) : createServer(timeouts);
    if (tls?.hasHttp2) {
      this.#http2 = new Http2Side({
        serve: (exchange, line) => this.#serve(exchange, line),
        request: (request, response) => this.#answer(request, response),
      });
    }
    const event = tls ? "secureConnection" : "connection";
    const [takeOver] = this.#server.listeners(event);
    this.#takeOver = (socket) => void takeOver!.call(this.#server, socket);
    this.#server.off(event, takeOver as () => void);
    this.#server.on("connection", (socket) => this.#track(socket));
    this.#server.on(event, (socket: Socket) => this.#accept(socket));
    this.#server.on("request", (request, response) => {
      // RFC 9112 §3.2; two readers of such a request may see two hosts.
      if ((request.headersDistinct["host"]?.length ?? 0) < 2) return this.#answer(request, response);
      response.writeHead(400, { Connection: "close", "Content-Length": "0" }).end();
    });
    this.#server.on("upgrade", (request, socket: Duplex, head) => this.#upgrade(request, socket, head));
    this.#server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
      if (socket.writable) socket.end(refusalOf(error.code));
    });
    this.#second = setInterval(() => this.#tick(), 1_000);
    this.#second.unref();
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get bytesSent(): number {
    let bytes = this.#bytesOfClosed + this.#bytesDirect;
    for (const socket of this.#sockets) bytes += socket.bytesWritten;
    return bytes;
  }

  async listen(): Promise<void> {
    const { port, address, portSetting } = this.#options;
    await listenOn(this.#server, { port, host: address, backlog }, portSetting).catch((thrown: unknown) => {
      clearInterval(this.#second);
      throw thrown;
    });
    this.#server.on("error", (error) => this.#options.logger.error("the viewers' door", { error: error.message }));
  }

  useCertificates(): void {
    const pair = this.#options.tls?.certificates.first;
    if (pair && "setSecureContext" in this.#server) this.#server.setSecureContext(pair);
  }

  async close(): Promise<void> {
    clearInterval(this.#second);
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    const deadlineMs = performance.now() + answersEndMs;
    while (this.#isAnswering && performance.now() < deadlineMs) {
      this.#server.closeIdleConnections();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    for (const socket of this.#sockets) socket.destroy();
    // The server knows nothing of those that were made here.
    const gone = [...this.#sockets].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    await Promise.all([closed, ...gone]);
  }

  get #isAnswering(): boolean {
    if (this.#answering.size > 0) return true;
    for (const connection of this.#plain) if (connection.isAnswering) return true;
    return false;
  }

  sentDirectly(bytes: number): void {
    this.#bytesDirect += bytes;
  }

  serve(exchange: PlainExchange & RequestLine): boolean {
    return this.#serve(exchange, exchange);
  }

  later(connection: PlainConnection): void {
    this.#later.add(connection);
    this.#planLater();
  }

  handOver(socket: Socket): void {
    this.#takeOver(socket);
  }

  closed(connection: PlainConnection): void {
    this.#plain.delete(connection);
    this.#later.delete(connection);
  }

  #planLater(): void {
    if (this.#isLaterPlanned || this.#later.size === 0) return;
    this.#isLaterPlanned = true;
    setTimeout(() => {
      this.#isLaterPlanned = false;
      const [next] = this.#later;
      if (next) {
        this.#later.delete(next);
        next.readNext();
      }
      this.#planLater();
    }, aheadEveryMs);
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      this.#bytesOfClosed += socket.bytesWritten;
    });
  }

  #accept(socket: Socket): void {
    if (this.#http2 && (socket as TLSSocket).alpnProtocol === "h2") this.#http2.accept(socket);
    else this.#plain.add(this.#acceptLent(socket) ?? new PlainConnection(socket, this));
    if (!this.#hasCrowd && this.#plain.size >= crowd) this.#openDirectSockets();
  }

  #acceptLent(accepted: Socket): PlainConnection | undefined {
    if (!this.direct) return undefined;
    this.#lentMemory ??= newLentMemory();
    const socket = readLent(accepted, this.direct, this.#lentMemory, (memory, size) =>
      connection.readLent(memory, size),
    );
    if (!socket) return undefined;
    const connection = new PlainConnection(socket, this);
    this.#track(socket);
    return connection;
  }

  #openDirectSockets(): void {
    this.#hasCrowd = true;
    if (!this.#options.tls) this.direct = this.#options.openDirectSockets?.();
  }

  #tick(): void {
    // Not counted: a busy loop skips turns of the timer.
    this.nowSeconds = Math.floor((performance.now() - this.#openedMs) / 1_000);
    this.date = new Date().toUTCString();
    for (const connection of this.#plain) connection.sweep();
  }

  #serve(exchange: PlainExchange, line: RequestLine): boolean {
    try {
      const target = this.#targetOf(line);
      if (target) for (const guest of this.#options.guests) if (guest.serve?.(exchange, target) === true) return true;
      return false;
    } catch (thrown) {
      this.#options.logger.error("a request failed", { error: messageOf(thrown) });
      exchange.send(500, faultHeaders);
      return true;
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { guests, state, logger } = this.#options;
    this.#answering.add(response);
    response.once("close", () => this.#answering.delete(response));
    try {
      // A node that goes keeps no connection waiting for a next request, which it would have to cut.
      if (state() === "draining" && request.httpVersionMajor === 1) response.shouldKeepAlive = false;
      if (answerHealth(request, response, state())) return;
      const target = this.#targetOf(lineOf(request));
      const exchange = exchangeOf(request, response);
      const isTaken = (guest: HttpGuest): boolean =>
        (guest.serve?.(exchange, target!) ?? false) || (guest.handle?.(request, response, target!) ?? false);
      if (target && guests.some(isTaken)) return;
      if (request.method === "OPTIONS") return sendPreflight(request, response);
      sendProblem(response, 404, target ? "nothing is served under this path" : "no virtual host answers to this name");
    } catch (thrown) {
      logger.error("a request failed", { error: messageOf(thrown) });
      // A guest may have answered that it failed.
      if (response.writableEnded) return;
      if (response.headersSent) response.destroy();
      else sendProblem(response, 500, "internal error");
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on("error", destroyFailed);
    try {
      const target = this.#targetOf(lineOf(request));
      if (target && this.#options.guests.some((guest) => guest.upgrade?.(request, socket, head, target))) return;
      socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    } catch (thrown) {
      this.#options.logger.error("an upgrade failed", { error: messageOf(thrown) });
      socket.destroy();
    }
  }

  #targetOf(line: RequestLine): ViewerTarget | undefined {
    const { scheme, resolve, trustedProxies } = this.#options;
    return targetOf(line, scheme, resolve, trustedProxies?.());
  }
}

/** Of what is no request, or more than one may be; readable by pages, whose own query may have been too long. */
function refusalOf(code = ""): string {
  const status = requestFaults[code] ?? "400 Bad Request";
  return `HTTP/1.1 ${status}\r\nAccess-Control-Allow-Origin: *\r\nCache-Control: no-store\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
}

/** By Node's names for them. */
const requestFaults: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: "431 Request Header Fields Too Large",
  ERR_HTTP_REQUEST_TIMEOUT: "408 Request Timeout",
};

/** For every upgraded socket, as long as it lives: one for all, so that none holds its request with its headers. */
function destroyFailed(this: Duplex): void {
  this.destroy();
}

function tlsServerOf({ certificates, hasHttp2 }: NonNullable<HttpServerOptions["tls"]>): TlsServer {
  return createTlsServer({
    ...timeouts,
    ...certificates.first,
    handshakeTimeout: handshakeTimeoutMs,
    ALPNProtocols: hasHttp2 ? ["h2", "http/1.1"] : ["http/1.1"],
    SNICallback: (serverName, choose) => choose(null, certificates.choose(serverName)),
  });
}

function lineOf(request: IncomingMessage): RequestLine {
  const { localPort, remoteAddress, remotePort } = request.socket;
  const { host, ":authority": authority } = request.headers;
  const header = (name: string): string | undefined => request.headers[name]?.toString();
  return {
    url: request.url ?? "/",
    authority: host ?? authority?.toString(),
    localPort,
    remoteAddress,
    remotePort,
    header,
  };
}
