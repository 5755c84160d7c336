import { listenForViewers } from "../../media-node/api/http-server.ts";
import { splitPath } from "../../media-node/cluster/origin-map/split-path.ts";
import type { AdmitViewer, HttpGuest } from "../../media-node/core/guest.ts";
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

/** One edge behind a viewers' door on an ephemeral loopback port that pulls every stream of application `app` from `open`. */
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
  const door = await listenForViewers({
    port: 0,
    address: "127.0.0.1",
    scheme: "http",
    portSetting: "the test",
    state: () => "serving",
    logger: silentLogger,
    resolve: (_host, path) => ({ vhost: "default", ...splitPath(path) }),
    guests: [guest, ...(page ? [pagesOf(page)] : [])],
  });
  const close = async (): Promise<void> => {
    await guest.close({ code: "shutdown" });
    await hub.close({ code: "shutdown" });
    await door.close();
  };
  return { baseUrl: `http://127.0.0.1:${door.port}`, guest, hub, close };
}

const pagesOf = (page: NonNullable<LlHlsNodeOptions["page"]>): HttpGuest => ({
  handle(request, response) {
    const found = page(request.url ?? "/");
    if (!found) return false;
    response.writeHead(200, { "Content-Type": found.type }).end(found.body);
    return true;
  },
});
