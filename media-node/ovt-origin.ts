import { randomUUID } from "node:crypto";
import type { Metric } from "./api/metrics.ts";
import { chooseVhost } from "./cluster/origin-map/choose-vhost.ts";
import type { ServerConfig } from "./config/server-config.ts";
import type { StreamHub } from "./core/stream-hub.ts";
import type { NodeContext } from "./node-context.ts";
import { ovtLinkSecurity } from "./ovt-link.ts";
import { listenForEdges } from "./ovt-listener.ts";
import { OvtPublisher } from "./ovt/ovt-publisher.ts";
import { applicationFor } from "./pull-planner.ts";

/** This node as an origin: where edges pull, and what there is to know about them. */
export interface OvtOrigin {
  /** Undefined when Server.xml opens no OVT port. */
  readonly port: number | undefined;
  readonly metrics: readonly Metric[];
}

/**
 * Publishes the hub's streams by OVT where Server.xml asks for it.
 * @throws {SettingError} when the port cannot be had
 */
export async function publishOvt(context: NodeContext, hub: StreamHub): Promise<OvtOrigin> {
  const { config, live, clock, logger, id, secret, address, group } = context;
  if (config.bind.ovtPort === undefined) return { port: undefined, metrics: [] };
  const publisher = new OvtPublisher({
    hub: onlyPublished(live, hub),
    resolveVhost: (host) => {
      const choice = chooseVhost(live.now, host);
      return choice.kind === "vhost" ? choice.vhost.name : undefined;
    },
    clock,
    logger,
    nodeId: id,
    serverId: randomUUID(),
    sendsDataToOthers: config.hearth.ovtDataToAll,
    ...ovtLinkSecurity(config, secret),
  });
  const listener = await listenForEdges(config.bind.ovtPort, address, (connection, remote) =>
    publisher.accept(connection, remote),
  );
  const prepare = async ({ hearth }: ServerConfig): Promise<() => void> =>
    publisher.prepareTrust(hearth.ovtLink?.trustedPeers ?? []);
  group.add(live.addPart({ prepare }));
  group.add(() => listener.close());
  // Closed before the listener, which cuts what is left: sessions end on the border of a sample.
  group.add(() => publisher.close());
  return { port: listener.port, metrics: metricsOf(publisher) };
}

/** The hub's streams of applications with an OVT publisher; others do not exist for edges. */
function onlyPublished(live: NodeContext["live"], hub: StreamHub): Pick<StreamHub, "acquire"> {
  return {
    acquire: async (name, request, signal) => {
      const vhost = live.now.vhosts.find((candidate) => candidate.name === name.vhost);
      if (vhost && applicationFor(vhost, name.app)?.publishers.ovt) return hub.acquire(name, request, signal);
      return { kind: "not-found", reason: `the publisher <OVT> is not enabled for "${name.app}"` };
    },
  };
}

/** What the publisher counts, by its own names. */
const counts = {
  connectionsOpened: "TCP connections of edges taken",
  connectionsRefused: "Connections refused, because there were too many",
  connectionsLive: "Connections of edges now",
  sessionsStarted: "Streams that edges began to pull",
  sessionsLive: "Streams that edges pull now",
  bytesSent: "Bytes sent to edges",
  samplesDropped: "Samples that slow edges were not sent",
} as const satisfies Record<Exclude<keyof OvtPublisher["stats"], "faults">, string>;

/** `hearth_ovt_{connections_opened,…}` */
function metricsOf(publisher: OvtPublisher): Metric[] {
  const faults: Metric = {
    name: "hearth_ovt_faults",
    help: "OVT connections ended because of their peer, by code: OVT_UNAUTHORIZED, OVT_TLS, OVT_STALLED, …",
    labelNames: ["code"],
    read: () => Object.entries(publisher.stats.faults).map(([code, value]) => ({ labels: { code }, value })),
  };
  const numbers = Object.entries(counts).map(([key, help]) => ({
    name: `hearth_ovt_${key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`,
    help,
    read: () => publisher.stats[key as keyof typeof counts],
  }));
  return [...numbers, faults];
}
