import { createHash, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Gauge, Registry } from "prom-client";
import { messageOf, SettingError } from "../flow/errors.ts";
import { sendJson, sendProblem } from "./http-answers.ts";
import { listenError } from "./http-server.ts";

/** A figure for `/metrics`, read when somebody asks. */
export interface Metric {
  /** `hearth_…`, with the unit; `_total` for what only grows. */
  readonly name: string;
  readonly help: string;
  /** Of its series; taken from the first reading when absent, so needed where there may be none yet. */
  readonly labelNames?: readonly string[];
  readonly read: () =>
    number | readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** Something an operator can have done. What it throws is answered with 500. */
export type OperatorAction = () => Promise<{ readonly status: number; readonly body: unknown }>;

export interface OperatorServerOptions {
  readonly port: number;
  /** Loopback unless an operator says otherwise. */
  readonly address?: string;
  readonly metrics: readonly Metric[];
  /** The node as it describes itself: `/-/node`. */
  readonly describe: () => unknown;
  readonly isReady: () => boolean;
  /** By path, done on POST. */
  readonly actions?: Readonly<Record<string, OperatorAction>>;
  /** Asked of everybody as `Authorization: Bearer …`, but for `/-/health`. Needed on every address but the loopback one. */
  readonly token?: string | undefined;
}

export interface OperatorServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * The operators' door: `/metrics` (Prometheus), `/-/node`, `/-/health`, and actions by POST. Not for viewers.
 * @throws {SettingError} when the port cannot be had, or would stand open to everybody
 */
export async function listenForOperators(options: OperatorServerOptions): Promise<OperatorServer> {
  const { port, address = "127.0.0.1", token } = options;
  if (!token && !isLoopback(address)) {
    throw new SettingError(
      `Hearth/OperatorAddress in Server.xml is ${address}: set HEARTH_OPERATOR_TOKEN, or remove the element.`,
    );
  }
  const registry = registryOf(options.metrics);
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 10_000 }, (request, response) => {
    answer(request, response, registry, options).catch((thrown: unknown) => {
      if (!response.headersSent) sendProblem(response, 500, messageOf(thrown));
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, port, "Hearth/OperatorPort in Server.xml")));
    server.listen(port, address, resolve);
  });
  // A connection that cannot be accepted (no file descriptors left) is that connection's trouble.
  server.on("error", () => {});
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  registry: Registry,
  { describe, isReady, actions = {}, token }: OperatorServerOptions,
): Promise<void> {
  const path = (request.url ?? "/").split("?", 1)[0]!;
  const isRead = request.method === "GET" || request.method === "HEAD";
  if (path === "/-/health" && isRead) {
    return isReady() ? sendJson(response, { ready: true }) : sendProblem(response, 503, "not ready");
  }
  const refusal = refusalOf(request, token);
  if (refusal) {
    if (refusal.status === 401) response.setHeader("WWW-Authenticate", 'Bearer realm="hearth"');
    return sendProblem(response, refusal.status, refusal.reason);
  }
  const action = Object.hasOwn(actions, path) ? actions[path] : undefined;
  if (action) {
    response.setHeader("Allow", "POST");
    if (request.method !== "POST") return sendProblem(response, 405, "this is done by POST");
    const { status, body } = await action();
    return sendJson(response, body, status);
  }
  if (!isRead) return sendProblem(response, 405, "only GET is answered");
  if (path === "/-/node") return sendJson(response, describe());
  if (path !== "/metrics") return sendProblem(response, 404, "there are /metrics, /-/node and /-/health");
  const text = await registry.metrics();
  response.writeHead(200, { "Content-Type": registry.contentType }).end(text);
}

/** Why the request is not an operator's. */
function refusalOf(
  request: IncomingMessage,
  token: string | undefined,
): { readonly status: number; readonly reason: string } | undefined {
  if (token) {
    const [, given = ""] = /^Bearer +(.+)$/i.exec(request.headers.authorization ?? "") ?? [];
    return isSameText(given, token)
      ? undefined
      : { status: 401, reason: "send Authorization: Bearer and the token of HEARTH_OPERATOR_TOKEN" };
  }
  // Without a token being on this machine is what counts; a page in a browser on this machine is somebody else.
  const host = (request.headers.host ?? "").replace(/:\d*$/, "");
  return isLoopback(host) && request.headers.origin === undefined
    ? undefined
    : { status: 403, reason: "ask from this machine by its loopback address, or set HEARTH_OPERATOR_TOKEN" };
}

function isLoopback(address: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[?::1\]?)$/i.test(address);
}

/** Compared in a time that tells nothing. */
function isSameText(one: string, other: string): boolean {
  const [a, b] = [one, other].map((text) => createHash("sha256").update(text).digest());
  return timingSafeEqual(a!, b!);
}

function registryOf(metrics: readonly Metric[]): Registry {
  const registry = new Registry();
  for (const { name, help, read, labelNames: given } of metrics) {
    const first = read();
    const labelNames = given ?? (typeof first === "number" ? [] : Object.keys(first[0]?.labels ?? {}));
    const gauge = new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        const now = read();
        gauge.reset();
        if (typeof now === "number") gauge.set(now);
        else for (const { labels, value } of now) gauge.set(labels, value);
      },
    });
  }
  return registry;
}
