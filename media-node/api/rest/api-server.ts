import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer, Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { listenError } from "../http-server.ts";
import { isSameText, tokensIn } from "../operator-server.ts";
import { sendAnswer } from "./envelope.ts";
import type { RestApi } from "./rest-api.ts";

export interface ApiServerOptions {
  readonly api: RestApi;
  readonly port: number;
  /** Undefined = all. */
  readonly address?: string | undefined;
  /** What callers show as Basic, in OvenMediaEngine's way: `base64(<token>)`. Without one every call is refused. */
  readonly accessToken: () => string | undefined;
  /** Speaks TLS with it. */
  readonly tls?: ApiCertificate;
}

/** PEM, the chain included. */
export interface ApiCertificate {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface ApiServer {
  readonly port: number;
  /** Connections made from now on get it; of no effect on a port without TLS. @throws Error when it is none */
  useCertificate(pair: ApiCertificate): void;
  close(): Promise<void>;
}

/**
 * The port of `Bind/Managers/API`: the REST API and nothing else.
 * @throws {SettingError} when the port cannot be had
 */
export async function listenForApi({ api, port, address, accessToken, tls }: ApiServerOptions): Promise<ApiServer> {
  const timeouts = { headersTimeout: 10_000, requestTimeout: 30_000 };
  const listener: RequestListener = (request, response) => {
    const given = tokensIn(request.headers.authorization ?? "");
    const wanted = accessToken();
    if (!wanted || !given.some((token) => isSameText(token, wanted))) {
      response.setHeader("WWW-Authenticate", 'Basic realm="OvenMediaEngine"');
      return sendAnswer(response, { statusCode: 401, message: "Invalid credential" });
    }
    if (!api.handle(request, response)) sendAnswer(response, { statusCode: 404, message: "Controller not found" });
  };
  const server: Server = tls ? createTlsServer({ ...timeouts, ...tls }, listener) : createServer(timeouts, listener);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, port, "Bind/Managers/API in Server.xml")));
    server.listen({ port, ...(address !== undefined && { host: address }) }, resolve);
  });
  // A connection that cannot be accepted (no file descriptors left) is that connection's trouble.
  server.on("error", () => {});
  return {
    port: (server.address() as AddressInfo).port,
    useCertificate: (pair) => {
      if (server instanceof TlsServer) server.setSecureContext(pair);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
