import { listenForOperators, type OperatorAction, type OperatorServerOptions } from "./api/operator-server.ts";
import type { Metric } from "./api/metrics.ts";
import { RestApi } from "./api/rest/rest-api.ts";
import { streamPages } from "./api/stream-page/stream-page.ts";
import type { ConfigReload } from "./config-reload.ts";
import type { NodeContext } from "./node-context.ts";
import type { NodeLifecycle } from "./node-lifecycle.ts";
import { nodeHistograms, nodeMetrics, type NodeMetricsOptions } from "./node-metrics.ts";
import { openApiPorts } from "./rest-wiring.ts";
import { StreamDebug } from "./stream-debug.ts";
import { version } from "./version.ts";

/** The node as operators see and command it. */
export interface OperatedNode extends Omit<NodeMetricsOptions, "id" | "region" | "clock"> {
  /** Undefined where the node cannot read its configuration again. */
  readonly reload: ConfigReload | undefined;
  /** See `ViewerDoors.reloadCertificates`. */
  readonly reloadCertificates: () => readonly string[];
  /** Who watches here now, with those who were sent on and may come back. */
  readonly viewersNow: () => number;
  readonly ovtMetrics: readonly Metric[];
  /** `HEARTH_OPERATOR_TOKEN`. */
  readonly token: string | undefined;
}

/** What was opened for them. */
export interface OperatorDoors {
  /** Undefined where Server.xml has none. */
  readonly operatorPort: number | undefined;
  /** Of `Bind/Managers/API`. */
  readonly apiPorts: readonly number[];
}

/**
 * Opens the ports of the REST API and of the operators' door, with all that is asked for there.
 * @throws {SettingError} when one cannot be had
 */
export async function openOperatorDoors(context: NodeContext, node: OperatedNode): Promise<OperatorDoors> {
  const { id, config, live, clock, logger } = context;
  const { book, claims, deliveries, events, hub, lifecycle, reload, reloadCertificates, report, viewersNow } = node;
  const api = new RestApi({
    configNow: () => live.now,
    hub,
    book,
    clock,
    logger,
    version,
    reloadCertificates,
    reloadApiCertificate: () => apiDoor.reloadCertificate(),
  });
  const debug = new StreamDebug({
    nodeId: id,
    state: () => lifecycle.state,
    hub,
    book,
    events,
    clock,
    leaseOf: (name) => claims.standing(name),
    webrtcOf: (stream) => deliveries.find(({ statsOf }) => statsOf)?.statsOf?.(stream),
  });
  const apiDoor = await openApiPorts(context, api);
  const own = nodeMetrics({ ...node, id, region: config.hearth.region, clock });
  const operatorPort = await openOperatorDoor(context, {
    handlers: [api.handle, streamPages(debug)],
    describe: () => report.peek(),
    state: () => lifecycle.state,
    metrics: [...own, ...node.ovtMetrics, ...(reload?.metrics ?? [])],
    histograms: nodeHistograms(deliveries),
    actions: { ...reloadActions(reload), "/-/drain": drainAction(lifecycle, viewersNow) },
    reports: { "/-/drain": () => drainReport(lifecycle, viewersNow) },
    token: node.token,
  });
  return { operatorPort, apiPorts: apiDoor.ports };
}

async function openOperatorDoor(
  { config, group }: NodeContext,
  options: Omit<OperatorServerOptions, "port" | "address">,
): Promise<number | undefined> {
  const { operatorPort: port, operatorAddress: address } = config.hearth;
  if (port === undefined) return undefined;
  const server = await listenForOperators({ port, address, ...options });
  group.add(() => server.close());
  return server.port;
}

function drainAction(lifecycle: NodeLifecycle, viewers: () => number): OperatorAction {
  return async () => {
    void lifecycle.drain();
    return { status: 202, body: drainReport(lifecycle, viewers) };
  };
}

function drainReport(lifecycle: NodeLifecycle, viewers: () => number): unknown {
  return { state: lifecycle.state, viewers: viewers(), leftMs: lifecycle.drainLeftMs };
}

function reloadActions(reload: ConfigReload | undefined): Record<string, OperatorAction> {
  if (!reload) return {};
  return {
    "/-/reload": async () => {
      const outcome = await reload.reload("POST /-/reload");
      return { status: outcome.isTaken ? 200 : 422, body: outcome };
    },
  };
}
