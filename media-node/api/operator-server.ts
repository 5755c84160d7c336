import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Registry } from "prom-client";
import { messageOf, SettingError } from "../flow/errors.ts";
import { answerHealth, type NodeState } from "./health.ts";
import { sendJson, sendProblem } from "./http-answers.ts";
import { listenOn } from "./listen.ts";
import { registryOf, type HistogramMetric, type Metric } from "./metrics.ts";
import { isLoopback, refusalOf } from "./operator-access.ts";

/** Something an operator can have done. What it throws is answered with 500. */
export type OperatorAction = () => Promise<{ readonly status: number; readonly body: unknown }>;

/** Answers what lies below one path; false when it knows nothing of it. */
export type OperatorHandler = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface OperatorServerOptions {
  readonly port: number;
  /** Loopback unless an operator says otherwise. */
  readonly address?: string;
  readonly metrics: readonly Metric[];
  readonly histograms?: readonly HistogramMetric[];
  /** The node as it describes itself: `/-/node`. */
  readonly describe: () => unknown;
  readonly state: () => NodeState;
  /** By path, done on POST. */
  readonly actions?: Readonly<Record<string, OperatorAction>>;
  /** What is said at the path of an action that only wants to know. */
  readonly reports?: Readonly<Record<string, () => unknown>>;
  /** Asked in turn for every other path; true when it answered. */
  readonly handlers?: readonly OperatorHandler[];
  /** Asked of everybody as `Authorization: Bearer …`, or Basic, but for health. Needed on every address but the loopback one. */
  readonly token?: string | undefined;
}

export interface OperatorServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * The operators' door: `/metrics` (Prometheus), `/-/node`, health, actions by POST, and what is mounted. Not for viewers.
 * @throws {SettingError} when the port cannot be had, or would stand open to everybody
 */
export async function listenForOperators(options: OperatorServerOptions): Promise<OperatorServer> {
  const { port, address = "127.0.0.1", token } = options;
  if (!token && !isLoopback(address)) {
    throw new SettingError(
      `Hearth/OperatorAddress in Server.xml is ${address}: set HEARTH_OPERATOR_TOKEN, or remove the element.`,
    );
  }
  const registry = registryOf(options.metrics, options.histograms);
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 10_000 }, (request, response) => {
    answer(request, response, registry, options).catch((thrown: unknown) => {
      if (!response.headersSent) sendProblem(response, 500, messageOf(thrown));
    });
  });
  const bound = await listenOn(server, { port, host: address }, "Hearth/OperatorPort in Server.xml");
  return {
    port: bound,
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
  { describe, state, actions = {}, reports = {}, handlers = [], token }: OperatorServerOptions,
): Promise<void> {
  const path = (request.url ?? "/").split("?", 1)[0]!;
  const isRead = request.method === "GET" || request.method === "HEAD";
  if (isRead && answerHealth(request, response, state())) return;
  const refusal = refusalOf(request, token);
  if (refusal) {
    if (refusal.status === 401)
      response.setHeader("WWW-Authenticate", ['Bearer realm="hearth"', 'Basic realm="hearth"']);
    return sendProblem(response, refusal.status, refusal.reason);
  }
  if (isRead && Object.hasOwn(reports, path)) return sendJson(response, reports[path]!());
  if (handlers.some((handle) => handle(request, response))) return;
  const action = Object.hasOwn(actions, path) ? actions[path] : undefined;
  if (action) {
    response.setHeader("Allow", "POST");
    if (request.method !== "POST") return sendProblem(response, 405, "this is done by POST");
    const { status, body } = await action();
    return sendJson(response, body, status);
  }
  if (!isRead) return sendProblem(response, 405, "only GET is answered");
  if (path === "/-/node") return sendJson(response, describe());
  if (path !== "/metrics")
    return sendProblem(response, 404, "there are /metrics, /-/node, /-/drain, /-/readyz and /v1");
  const text = await registry.metrics();
  response.writeHead(200, { "Content-Type": registry.contentType }).end(text);
}
