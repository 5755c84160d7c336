import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, Server as TlsServer } from "node:https";
import { isSameSecret } from "../../bytes/same-secret.ts";
import { crossDomainHeaders } from "../../config/cross-domains.ts";
import type { CrossDomainsConfig } from "../../config/server-config.ts";
import { listenOn } from "../listen.ts";
import { tokensIn } from "../operator-access.ts";
import { sendAnswer } from "./envelope.ts";
import type { RestApi } from "./rest-api.ts";

export interface ApiServerOptions {
  readonly api: RestApi;
  readonly port: number;
  /** Undefined = all. */
  readonly address?: string | undefined;
  /** What callers show as Basic, in OvenMediaEngine's way: `base64(<token>)`. Without one every call is refused. */
  readonly accessToken: () => string | undefined;
  /** Which web pages may call it; undefined: none but its own. */
  readonly crossDomains?: () => CrossDomainsConfig | undefined;
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

const noCredential = "Authorization header is required to call API";
const methods = "OPTIONS, GET, HEAD, POST, PATCH, DELETE";

/**
 * Sets the CORS headers (Fetch §3.2).
 * @returns whether a browser only asks what it may do, which it does without a token
 */
function allowPages(
  config: CrossDomainsConfig | undefined,
  { method, headers }: IncomingMessage,
  response: ServerResponse,
): boolean {
  if (!config) return false;
  const requestedHeaders = headers["access-control-request-headers"];
  const asked = { origin: headers.origin, requestedHeaders, methods, isSentOn: false };
  const allowed = crossDomainHeaders(config, asked);
  for (let at = 0; at < allowed.length; at += 2) response.setHeader(allowed[at]!, allowed[at + 1]!);
  response.setHeader("Vary", "Origin");
  return method === "OPTIONS";
}

/**
 * The port of `Bind/Managers/API`: the REST API and nothing else.
 * @throws {SettingError} when the port cannot be had
 */
export async function listenForApi(options: ApiServerOptions): Promise<ApiServer> {
  const { api, port, address, accessToken, crossDomains, tls } = options;
  const timeouts = { headersTimeout: 10_000, requestTimeout: 30_000 };
  const listener: RequestListener = (request, response) => {
    const isPreflight = allowPages(crossDomains?.(), request, response);
    if (isPreflight) return response.writeHead(204).end();
    const { authorization } = request.headers;
    const given = tokensIn(authorization ?? "");
    const wanted = accessToken();
    if (!wanted || !given.some((token) => isSameSecret(token, wanted))) {
      response.setHeader("WWW-Authenticate", 'Basic realm="OvenMediaEngine"');
      const message = authorization === undefined ? noCredential : "Invalid credential";
      return sendAnswer(response, { statusCode: 401, message });
    }
    if (!api.handle(request, response)) sendAnswer(response, { statusCode: 404, message: "Controller not found" });
  };
  const server: Server = tls ? createTlsServer({ ...timeouts, ...tls }, listener) : createServer(timeouts, listener);
  const bound = await listenOn(server, { port, host: address }, "Bind/Managers/API in Server.xml");
  return {
    port: bound,
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
