import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { HttpGuest, ViewerTarget } from "../core/guest.ts";
import { messageOf, SettingError } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import { corsHeaders, sendProblem } from "./http-answers.ts";

/** Path and host of a request, resolved to a stream's name; undefined when no virtual host answers to `host`. */
export type ResolveTarget = (
  host: string,
  path: string,
) => Pick<ViewerTarget, "vhost" | "app" | "stream" | "file"> | undefined;

export interface HttpServerOptions {
  readonly port: number;
  /** Address to listen on; undefined = all. */
  readonly address?: string;
  readonly guests: readonly HttpGuest[];
  readonly resolve: ResolveTarget;
  /** How viewers reach this door; `https` where something in front of it speaks TLS. */
  readonly scheme: "http" | "https";
  /** What `/-/health` says: true = 200, false = 503. */
  readonly isReady: () => boolean;
  readonly logger: Logger;
  /** Names the setting in the error when the port is taken. */
  readonly portSetting: string;
}

export interface HttpServer {
  readonly port: number;
  /** Sent to viewers since the start, headers included. */
  readonly bytesSent: number;
  /** Stops accepting, ends idle connections, cuts the rest. Resolves when all are gone. */
  close(): Promise<void>;
}

/** The viewers' door of a node: splits the path, finds the virtual host, and offers the request to each guest in turn. */
export async function listenForViewers(options: HttpServerOptions): Promise<HttpServer> {
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 15_000, keepAliveTimeout: 20_000 });
  const sockets = new Set<Socket>();
  let bytesOfClosed = 0;
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      bytesOfClosed += socket.bytesWritten;
    });
  });
  server.on("request", (request, response) => answer(request, response, options));
  server.on("upgrade", (request, socket: Duplex, head) => upgrade(request, socket, head, options));
  server.on("clientError", (_error, socket: Duplex) => {
    if (socket.writable) socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  });
  await listen(server, options);
  server.on("error", (error) => options.logger.error("the viewers' door", { error: error.message }));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    get bytesSent() {
      let bytes = bytesOfClosed;
      for (const socket of sockets) bytes += socket.bytesWritten;
      return bytes;
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeIdleConnections();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function listen(server: Server, { port, address, portSetting }: HttpServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => reject(listenError(error, port, portSetting));
    server.once("error", onError);
    server.listen({ port, ...(address !== undefined && { host: address }) }, () => {
      server.off("error", onError);
      resolve();
    });
  });
}

/** A sentence with the remedy for a port that cannot be had. */
export function listenError(error: NodeJS.ErrnoException, port: number, setting: string): Error {
  const remedies: Record<string, string> = {
    EADDRINUSE: `Port ${port} is in use: choose another by ${setting}, or end the program that holds it.`,
    EACCES: `Port ${port} may not be opened by this user: choose one above 1023 by ${setting}.`,
    EADDRNOTAVAIL: `The address to listen on is not one of this machine's: check ${setting}.`,
  };
  const remedy = remedies[error.code ?? ""];
  return remedy ? new SettingError(remedy, { cause: error }) : error;
}

function answer(request: IncomingMessage, response: ServerResponse, options: HttpServerOptions): void {
  try {
    const url = request.url ?? "/";
    if (url === "/-/health" || url.startsWith("/-/health?")) return sendHealth(request, response, options.isReady());
    const target = targetOf(request, options);
    if (target && options.guests.some((guest) => guest.handle?.(request, response, target))) return;
    sendProblem(response, 404, target ? "nothing is served under this path" : "no virtual host answers to this name");
  } catch (thrown) {
    options.logger.error("a request failed", { error: messageOf(thrown) });
    if (response.headersSent) response.destroy();
    else sendProblem(response, 500, "internal error");
  }
}

function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, options: HttpServerOptions): void {
  socket.on("error", () => socket.destroy());
  try {
    const target = targetOf(request, options);
    if (target && options.guests.some((guest) => guest.upgrade?.(request, socket, head, target))) return;
    socket.end("HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  } catch (thrown) {
    options.logger.error("an upgrade failed", { error: messageOf(thrown) });
    socket.destroy();
  }
}

function sendHealth(request: IncomingMessage, response: ServerResponse, isReady: boolean): void {
  const body = isReady ? "ready\n" : "not ready\n";
  response.writeHead(isReady ? 200 : 503, {
    ...corsHeaders,
    "Content-Type": "text/plain; charset=utf-8",
    "Cache-Control": "no-store",
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** Host names are at most 255 characters; more is an attack or a mistake. */
const maxHostLength = 261;

function targetOf(
  request: IncomingMessage,
  { resolve, scheme }: Pick<HttpServerOptions, "resolve" | "scheme">,
): ViewerTarget | undefined {
  const url = request.url ?? "/";
  const mark = url.indexOf("?");
  const rawQuery = mark < 0 ? "" : url.slice(mark + 1);
  const authority = request.headers.host ?? `localhost:${request.socket.localPort}`;
  if (authority.length > maxHostLength || !/^[\w.\-[\]:]+$/.test(authority)) return undefined;
  const name = resolve(hostOf(authority), mark < 0 ? url : url.slice(0, mark));
  return (
    name && {
      ...name,
      rawQuery,
      query: new URLSearchParams(rawQuery),
      baseUrl: `${scheme}://${authority}`,
      remoteAddress: request.socket.remoteAddress ?? "",
    }
  );
}

/** `host:port` → `host`; IPv6 literals keep their brackets. */
function hostOf(authority: string): string {
  return authority.replace(/:\d*$/, "");
}
