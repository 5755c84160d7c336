import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { listenForViewers, type HttpServer } from "./api/http-server.ts";
import { listenForOperators, type Metric } from "./api/operator-server.ts";
import { chooseVhost } from "./cluster/origin-map/choose-vhost.ts";
import { splitPath } from "./cluster/origin-map/split-path.ts";
import type { NodeRecord } from "./cluster/store/contract.ts";
import { signNodeRecord } from "./cluster/store/node-record.ts";
import { importSigningKey } from "./cluster/ticket/signing-key.ts";
import type { ServerConfig } from "./config/server-config.ts";
import type { AdmitViewer, HttpGuest } from "./core/guest.ts";
import type { OpenSource } from "./core/source.ts";
import { StreamHub } from "./core/stream-hub.ts";
import { streamKey } from "./core/stream-name.ts";
import { dialTcp, dialTls } from "./dial.ts";
import { openLoopSource } from "./file/loop-source.ts";
import { CloseGroup, type CloseReason } from "./flow/close-group.ts";
import type { Logger } from "./flow/logger.ts";
import { createLlHls } from "./llhls/ll-hls.ts";
import type { NodeMessage } from "./node-message.ts";
import { NodeReport } from "./node-report.ts";
import { ovtLinkSecurity } from "./ovt-link.ts";
import { listenForEdges } from "./ovt-listener.ts";
import { OvtPublisher } from "./ovt/ovt-publisher.ts";
import { openOvtSource } from "./ovt/ovt-source.ts";
import { admitBySignedPolicy, admitByWebhooks, admitInTurn } from "./policy-admission.ts";
import { Prewarm } from "./prewarm.ts";
import { oncePerSetting, publishedBy } from "./published-by.ts";
import { planPulls } from "./pull-planner.ts";
import { recentMsOf } from "./recent-media.ts";
import { openRtspSource } from "./rtsp/rtsp-source.ts";
import { openStores } from "./store-wiring.ts";
import { Announcer } from "./stores/announcer.ts";
import { StreamClaims } from "./stream-claims.ts";
import type { Clock } from "./time/clock.ts";
import { admitByTicket } from "./viewer-admission.ts";
import { openMediaPort } from "./webrtc/transport/open-media-port.ts";
import { createWebRtc } from "./webrtc/web-rtc.ts";
import { webRtcMetrics } from "./web-rtc-metrics.ts";

export interface NodeOptions {
  readonly config: ServerConfig;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onMessage?: (message: NodeMessage) => void;
}

export interface RunningNode {
  readonly id: string;
  /** Where viewers reach it; undefined for a node that only publishes. */
  readonly url: string | undefined;
  readonly ovtPort: number | undefined;
  readonly hub: StreamHub;
  /** Lets go of viewers, pulls and leases; resolves when every socket is closed. May be called twice. */
  close(reason: CloseReason): Promise<void>;
}

/** A guest that delivers to viewers, and the bytes it has sent. */
interface Delivery {
  readonly protocols: NodeRecord["protocols"];
  readonly port: number;
  readonly guest: HttpGuest;
  /** Tells viewers to ask the router again. */
  readonly drain?: () => void;
  /** Bytes that do not pass the HTTP server. */
  readonly egressBytes?: () => number;
  readonly metrics?: readonly Metric[];
}

/** What viewers reach: the public URL, and what went out by HTTP. */
interface Doors {
  readonly url: string | undefined;
  readonly bytesSent: () => number;
}

/**
 * Wires the rooms to one node as its Server.xml says. The only place that knows every protocol.
 * @throws {SettingError} when a setting cannot be followed: a port in use, a secret that is too short
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const group = new CloseGroup();
  try {
    return await wire(options, group);
  } catch (thrown) {
    await group.close({ code: "not-started" }).catch(() => {});
    throw thrown;
  }
}

async function wire(options: NodeOptions, group: CloseGroup): Promise<RunningNode> {
  const { config, env, clock, onMessage } = options;
  const id = config.hearth.nodeId ?? `${hostname()}-${randomUUID().slice(0, 8)}`;
  const logger = options.logger.with({ node: id });
  const secret = env["HEARTH_SECRET"] || undefined;
  const key = secret === undefined ? undefined : await importSigningKey(secret);
  const address = config.ips.some((ip) => ip === "*" || ip === "::") ? undefined : config.ips[0];
  let state: NodeRecord["state"] = "starting";

  const stores = await openStores(config, env["REDIS_URL"], { clock, logger });
  group.add(() => stores.close());
  const recentMs = recentMsOf(config);
  const hub = new StreamHub({
    clock,
    logger,
    nodeId: id,
    plan: planPulls(config, (vhost) => stores.storeOf(vhost)),
    openers: openersOf({ clock, logger, nodeId: id, secret, recentMs }),
    recentMs,
  });
  group.add((reason) => hub.close(reason));

  const ovt = await publishOvt({ ...options, logger }, id, secret, hub, address, group);
  const ovtPort = ovt?.port;
  const byUrl = key ? admitByTicket(id, key, clock) : admitBySignedPolicy(config, clock);
  const admit = admitInTurn(byUrl, admitByWebhooks(config, clock));
  const deliveries = await openDeliveries({ ...options, logger }, hub, admit, secret, address, group);
  const { url, bytesSent } = await openDoors(
    deliveries,
    { ...options, logger },
    address,
    () => state === "serving",
    group,
  );

  const claims = new StreamClaims({ config, hub, stores, ovtPort, clock, logger });
  group.add(() => claims.close());
  const report = new NodeReport({
    id,
    url: url ?? `http://${config.vhosts[0]?.originMapStore?.originHostName ?? "127.0.0.1"}:${ovtPort ?? 0}`,
    region: config.hearth.region,
    maxViewers: config.hearth.maxViewers,
    protocols: deliveries.flatMap(({ protocols }) => protocols),
    hub,
    clock,
    state: () => state,
    origins: () => claims.names,
    egressBytes: () => deliveries.reduce((sum, { egressBytes }) => sum + (egressBytes?.() ?? 0), bytesSent()),
  });
  state = "serving";
  const sign = (record: NodeRecord, nowMs: number) => signNodeRecord(key, record, nowMs);
  const announcers = stores.all.map(
    (store) => new Announcer({ store, clock, logger, id, record: () => report.next(), sign }),
  );
  group.add(async () => void (await Promise.all(announcers.map((announcer) => announcer.close()))));
  const streamMetrics: Metric[] = [
    { name: "hearth_streams", help: "Streams that are live here", read: () => hub.list().length },
    { name: "hearth_viewers", help: "Viewers connected here", read: () => report.viewers },
  ];
  const operatorPort = await openOperatorDoor(
    config,
    {
      metrics: [...streamMetrics, ...ovtMetrics(ovt?.publisher), ...deliveries.flatMap(({ metrics }) => metrics ?? [])],
      describe: () => report.peek(),
      isReady: () => state === "serving",
    },
    group,
  );
  const prewarm = new Prewarm(config.hearth.prewarm, {
    hub,
    clock,
    logger,
    onResult: (name, isLive, reason) => onMessage?.({ type: "prewarm", stream: streamKey(name), isLive, reason }),
  });
  group.add(() => prewarm.close());
  // Closing begins here: the router is told before viewers are, so that they are not sent back.
  group.add(() => {
    state = "draining";
    for (const announcer of announcers) announcer.announce();
    for (const { drain } of deliveries) drain?.();
  });
  logger.info("node serves", { url, ovtPort });
  onMessage?.({ type: "ready", id, url, ovtPort, operatorPort });
  return { id, url, ovtPort, hub, close: (reason) => group.close(reason) };
}

interface OpenerTools {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly nodeId: string;
  readonly secret: string | undefined;
  readonly recentMs: number;
}

/** What can be pulled, by scheme. A new way in is one line here. */
function openersOf({ clock, logger, nodeId, secret, recentMs }: OpenerTools): ReadonlyMap<string, OpenSource> {
  const ovt = { dial: dialTcp, clock, logger, nodeId, recentMs, ...(secret !== undefined && { secret }) };
  const openRtsp = openRtspSource({ dial: dialTcp, dialTls, clock, logger });
  return new Map([
    ["ovt", openOvtSource(ovt)],
    ["rtsp", openRtsp],
    ["rtsps", openRtsp],
    ["file", openLoopSource({ clock, readFile: async (path) => new Uint8Array(await readFile(path)) })],
  ]);
}

/** Opens the operators' door where Server.xml asks for it. */
async function openOperatorDoor(
  { hearth }: ServerConfig,
  door: { metrics: readonly Metric[]; describe: () => unknown; isReady: () => boolean },
  group: CloseGroup,
): Promise<number | undefined> {
  if (hearth.operatorPort === undefined) return undefined;
  const server = await listenForOperators({ port: hearth.operatorPort, ...door });
  group.add(() => server.close());
  return server.port;
}

/** `hearth_ovt_{connections_opened,…}`: whatever the publisher counts. */
function ovtMetrics(publisher: OvtPublisher | undefined): Metric[] {
  if (!publisher) return [];
  const counts = Object.entries(publisher.stats).flatMap(([key, value]) => (typeof value === "number" ? [key] : []));
  return counts.map((key) => ({
    name: `hearth_ovt_${key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`,
    help: `OVT publisher: ${key}`,
    read: () => Number(Reflect.get(publisher.stats, key)),
  }));
}

async function publishOvt(
  { config, clock, logger }: NodeOptions,
  nodeId: string,
  secret: string | undefined,
  hub: StreamHub,
  address: string | undefined,
  group: CloseGroup,
): Promise<{ port: number; publisher: OvtPublisher } | undefined> {
  if (config.bind.ovtPort === undefined) return undefined;
  const publisher = new OvtPublisher({
    hub,
    resolveVhost: (host) => {
      const choice = chooseVhost(config, host);
      return choice.kind === "vhost" ? choice.vhost.name : undefined;
    },
    clock,
    logger,
    nodeId,
    serverId: randomUUID(),
    ...ovtLinkSecurity(config.hearth.ovtLink, secret),
  });
  const listener = await listenForEdges(config.bind.ovtPort, address, (connection, remote) =>
    publisher.accept(connection, remote),
  );
  group.add(() => listener.close());
  // Closed before the listener, which cuts what is left: sessions end on the border of a sample.
  group.add(() => publisher.close());
  return { port: listener.port, publisher };
}

async function openDeliveries(
  { config, clock, logger }: NodeOptions,
  hub: StreamHub,
  admit: AdmitViewer,
  secret: string | undefined,
  address: string | undefined,
  group: CloseGroup,
): Promise<Delivery[]> {
  const deliveries: Delivery[] = [];
  const publishers = config.vhosts.flatMap(({ applications }) => applications.map((app) => app.publishers));
  const { webrtc, llhls } = config.bind;
  const hls = publishers.flatMap((publisher) => publisher.llhls ?? []);
  if (llhls.port !== undefined && hls.length > 0 && config.modules.hasLlhls) {
    const openLlHls = (settings: (typeof hls)[number]): HttpGuest => {
      const guest = createLlHls({
        hub,
        admit,
        clock,
        logger,
        config: {
          partMs: settings.chunkDurationMs,
          segmentMs: settings.segmentDurationMs,
          segmentCount: settings.segmentCount,
          partHoldBackMs: settings.partHoldBackMs,
          hasPreloadHint: settings.hasPreloadHint,
        },
        ...(secret !== undefined && { secret }),
      });
      group.add((reason) => guest.close(reason));
      return guest;
    };
    const egressBytes = () => 0;
    deliveries.push({
      protocols: ["llhls"],
      port: llhls.port,
      guest: publishedBy(config, "llhls", oncePerSetting(hls, openLlHls)),
      egressBytes,
    });
  }
  const rtc = publishers.find((publisher) => publisher.webrtc)?.webrtc;
  if (webrtc.signalling.port !== undefined && rtc) {
    const mediaPort = await openMediaPort({
      port: webrtc.iceCandidates[0]?.ports[0]?.first ?? 10_000,
      ...(address !== undefined && { addresses: [address] }),
      ...(config.hearth.advertisedAddresses.length > 0 && { advertisedAddresses: config.hearth.advertisedAddresses }),
      clock,
      logger,
    });
    group.add(() => mediaPort.close());
    const guest = createWebRtc({
      hub,
      port: mediaPort,
      admit,
      clock,
      logger,
      config: { ...(rtc.hasRtx !== undefined && { rtx: rtc.hasRtx }), createDefaultPlaylist: rtc.hasDefaultPlaylist },
    });
    group.add((reason) => guest.close(reason));
    const port = webrtc.signalling.port;
    deliveries.push({
      protocols: ["webrtc", "whep"],
      port,
      guest: publishedBy(config, "webrtc", () => guest),
      drain: () => guest.drain(),
      egressBytes: () => mediaPort.stats["bytesOut"] ?? 0,
      metrics: webRtcMetrics(guest),
    });
  }
  return deliveries;
}

/** Opens one HTTP server a port; guests with the same port share it, as in OvenMediaEngine. */
async function openDoors(
  deliveries: readonly Delivery[],
  { config, logger }: NodeOptions,
  address: string | undefined,
  isReady: () => boolean,
  group: CloseGroup,
): Promise<Doors> {
  const servers: HttpServer[] = [];
  let url: string | undefined;
  for (const port of new Set(deliveries.map((delivery) => delivery.port))) {
    const server = await listenForViewers({
      port,
      ...(address !== undefined && { address }),
      guests: deliveries.filter((delivery) => delivery.port === port).map(({ guest }) => guest),
      resolve: (host, path) => {
        const choice = chooseVhost(config, host);
        return choice.kind === "vhost" ? { vhost: choice.vhost.name, ...splitPath(path) } : undefined;
      },
      scheme: config.hearth.publicUrl?.startsWith("https:") ? "https" : "http",
      isReady,
      logger,
      portSetting: "Bind/Publishers/{LLHLS,WebRTC} in Server.xml",
    });
    group.add(() => server.close());
    servers.push(server);
    url ??= publicUrl(config, address, port, server.port);
  }
  return { url, bytesSent: () => servers.reduce((sum, server) => sum + server.bytesSent, 0) };
}

/** As configured; a port that was chosen here is added, since nobody could have written it down. */
function publicUrl(config: ServerConfig, address: string | undefined, configured: number, actual: number): string {
  const given = config.hearth.publicUrl;
  if (given === undefined) return `http://${config.hearth.advertisedAddresses[0] ?? address ?? hostname()}:${actual}`;
  return configured === 0 ? `${given}:${actual}` : given;
}
