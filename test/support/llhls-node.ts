import { createServer, type Server } from "node:http";
import { exchangeOf } from "../../media-node/api/node-exchange.ts";
import type { AdmitViewer, ViewerTarget } from "../../media-node/core/guest.ts";
import type { OpenSource } from "../../media-node/core/source.ts";
import { StreamHub } from "../../media-node/core/stream-hub.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import type { LlHlsConfig } from "../../media-node/llhls/ll-hls-config.ts";
import { createLlHls, type LlHls } from "../../media-node/llhls/ll-hls.ts";
import { systemClock, type Clock } from "../../media-node/time/clock.ts";

export interface LlHlsNode {
  readonly baseUrl: string;
  readonly guest: LlHls;
  readonly hub: StreamHub;
  close(): Promise<void>;
}

export interface LlHlsNodeOptions {
  readonly open: OpenSource;
  readonly config?: Partial<LlHlsConfig>;
  readonly secret?: string;
  readonly secretOf?: (vhost: string) => string | undefined;
  readonly clock?: Clock;
  readonly admit?: AdmitViewer;
  /** Answers what the guest does not take. */
  readonly page?: (path: string) => { readonly type: string; readonly body: string } | undefined;
}

/** One edge on an ephemeral loopback port that pulls every stream of application `app` from `open`. */
export async function startLlHlsNode(options: LlHlsNodeOptions): Promise<LlHlsNode> {
  const {
    open,
    config,
    secret,
    secretOf,
    page,
    clock = systemClock,
    admit = async () => ({ isAdmitted: true }),
  } = options;
  const hub = new StreamHub({
    clock,
    logger: silentLogger,
    nodeId: "test",
    openers: new Map([["test", open]]),
    recentMs: 10_000,
    plan: async ({ app }) =>
      app === "app"
        ? {
            urls: ["test://source"],
            from: "rule",
            noInputTimeoutMs: 60_000,
            unusedTimeoutMs: 3_000,
            graceMs: 3_000,
            retryCount: 0,
            isPersistent: false,
          }
        : { kind: "not-found", reason: "no rule" },
  });
  const guest = createLlHls({
    hub,
    admit,
    clock,
    logger: silentLogger,
    config: { partMs: 200, segmentMs: 2_000, segmentCount: 10, ...config },
    ...(secret !== undefined && { secret }),
    ...(secretOf && { secretOf }),
  });
  const server = createServer((request, response) => {
    const target = targetOf(request.url ?? "/", String(request.headers.host), request.socket.remoteAddress ?? "");
    if (target && guest.serve(exchangeOf(request, response), target)) return;
    const found = page?.(request.url ?? "/");
    response.writeHead(found ? 200 : 404, { "Content-Type": found?.type ?? "text/plain" }).end(found?.body);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server has no port");
  const { port } = address;
  return { baseUrl: `http://127.0.0.1:${port}`, guest, hub, close: () => closeAll(server, guest, hub) };
}

async function closeAll(server: Server, guest: LlHls, hub: StreamHub): Promise<void> {
  await guest.close({ code: "shutdown" });
  await hub.close({ code: "shutdown" });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

function targetOf(url: string, host: string, remoteAddress: string): ViewerTarget | undefined {
  const [path = "", rawQuery = ""] = url.split("?", 2);
  const [, app, stream, file, ...rest] = path.split("/");
  if (!app || !stream || file === undefined || rest.length > 0) return undefined;
  const query = new URLSearchParams(rawQuery);
  return { vhost: "default", app, stream, file, rawQuery, query, baseUrl: `http://${host}`, remoteAddress };
}
