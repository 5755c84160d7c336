import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Gauge, Registry } from "prom-client";
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

export interface OperatorServerOptions {
  readonly port: number;
  /** Loopback unless an operator says otherwise. */
  readonly address?: string;
  readonly metrics: readonly Metric[];
  /** The node as it describes itself: `/-/node`. */
  readonly describe: () => unknown;
  readonly isReady: () => boolean;
}

export interface OperatorServer {
  readonly port: number;
  close(): Promise<void>;
}

/** The operators' door: `/metrics` (Prometheus), `/-/node`, `/-/health`. Not for viewers. */
export async function listenForOperators(options: OperatorServerOptions): Promise<OperatorServer> {
  const registry = registryOf(options.metrics);
  const server = createServer({ headersTimeout: 10_000, requestTimeout: 10_000 }, (request, response) => {
    const path = (request.url ?? "/").split("?", 1)[0];
    if (request.method !== "GET" && request.method !== "HEAD")
      return sendProblem(response, 405, "only GET is answered");
    if (path === "/-/node") return sendJson(response, options.describe());
    if (path === "/-/health") {
      return options.isReady() ? sendJson(response, { ready: true }) : sendProblem(response, 503, "not ready");
    }
    if (path !== "/metrics") return sendProblem(response, 404, "there are /metrics, /-/node and /-/health");
    registry.metrics().then(
      (text) => response.writeHead(200, { "Content-Type": registry.contentType }).end(text),
      () => sendProblem(response, 500, "the metrics could not be read"),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, options.port, "Hearth/OperatorPort in Server.xml")));
    server.listen(options.port, options.address ?? "127.0.0.1", resolve);
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
