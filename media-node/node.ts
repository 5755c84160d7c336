import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { NodeRecord } from "./cluster/store/contract.ts";
import { signNodeRecord } from "./cluster/store/node-record.ts";
import { ClusterAudience } from "./cluster-audience.ts";
import { ClusterCount } from "./cluster-count.ts";
import { importSigningKey, type SigningKey } from "./cluster/ticket/signing-key.ts";
import type { ParsedServerXml } from "./config/parse-server-xml.ts";
import type { ServerConfig } from "./config/server-config.ts";
import { ConfigReload, type ReloadOutcome } from "./config-reload.ts";
import { StatisticsBook } from "./core/statistics-book.ts";
import { StreamHub } from "./core/stream-hub.ts";
import { streamKey } from "./core/stream-name.ts";
import { openDeliveries, type Delivery } from "./deliveries.ts";
import { CloseGroup, type CloseReason } from "./flow/close-group.ts";
import { EventLog } from "./flow/event-log.ts";
import type { Logger } from "./flow/logger.ts";
import { LiveConfig } from "./live-config.ts";
import type { NodeContext } from "./node-context.ts";
import { NodeLifecycle, type DrainOutcome } from "./node-lifecycle.ts";
import type { NodeMessage } from "./node-message.ts";
import { NodeReport } from "./node-report.ts";
import { openersOf } from "./openers.ts";
import { openOperatorDoors } from "./operator-wiring.ts";
import { publishOvt } from "./ovt-origin.ts";
import { PeerRedirects } from "./peer-redirects.ts";
import { admitBySignedPolicy, admitInTurn } from "./policy-admission.ts";
import { privateLogger } from "./private-logger.ts";
import { Prewarm } from "./prewarm.ts";
import { planPulls } from "./pull-planner.ts";
import { recentMsOf } from "./recent-media.ts";
import { openStores, type NodeStores } from "./store-wiring.ts";
import { Announcer } from "./stores/announcer.ts";
import { StreamClaims } from "./stream-claims.ts";
import type { Clock } from "./time/clock.ts";
import { admitByTicket } from "./viewer-admission.ts";
import { openViewerDoors } from "./viewer-doors.ts";
import { WarmDoor } from "./warm-door.ts";
import { WarmPeers } from "./warm-peers.ts";
import { WebhookAdmission } from "./webhook-admission.ts";

export interface NodeOptions {
  readonly config: ServerConfig;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onMessage?: (message: NodeMessage) => void;
  /** Reads the configuration again, for a reload; without it there is none. */
  readonly readConfig?: () => ParsedServerXml;
}

export interface RunningNode {
  readonly id: string;
  /** Where viewers reach it; undefined for a node that only publishes. */
  readonly url: string | undefined;
  /** The same over TLS, where a TLSPort is bound. */
  readonly tlsUrl: string | undefined;
  readonly ovtPort: number | undefined;
  /** Of `Bind/Managers/API`. */
  readonly apiPorts: readonly number[];
  readonly hub: StreamHub;
  /** Moves the viewers to other nodes; resolves when they are gone or `DrainTimeout` is over. The node is to be closed then. */
  drain(): Promise<DrainOutcome>;
  /** Resolves when a drain is over, whoever asked for it. */
  readonly drained: Promise<DrainOutcome>;
  /** Reads the configuration again and follows it; undefined where the node was not told how. Never rejects. */
  reload(cause: string): Promise<ReloadOutcome> | undefined;
  /**
   * Reads the viewers' certificates again; connections made from now on get them. One that cannot be used is left as it
   * was.
   * @returns what is wrong, a sentence each
   */
  reloadCertificates(): readonly string[];
  /** Lets go of viewers, pulls and leases; resolves when every socket is closed. May be called twice. */
  close(reason: CloseReason): Promise<void>;
}

/**
 * Wires the rooms to one node as its Server.xml says.
 * @throws {SettingError} when a setting cannot be followed: a port in use, a secret that is too short
 */
export async function startNode(options: NodeOptions): Promise<RunningNode> {
  const { config, env, clock } = options;
  const id = config.hearth.nodeId ?? `${hostname()}-${randomUUID().slice(0, 8)}`;
  const live = new LiveConfig(config);
  const events = new EventLog(clock);
  const context: NodeContext = {
    id,
    config,
    live,
    clock,
    // What is kept for people is masked as what is written.
    logger: privateLogger(events.wrap(options.logger.with({ node: id })), () => live.now.hasPrivacyProtection),
    secret: env["HEARTH_SECRET"] || undefined,
    address: config.ips.some((ip) => ip === "*" || ip === "::") ? undefined : config.ips[0],
    group: new CloseGroup(),
  };
  try {
    return await wire(context, options, events);
  } catch (thrown) {
    await context.group.close({ code: "not-started" }).catch(() => {});
    throw thrown;
  }
}

async function wire(context: NodeContext, options: NodeOptions, events: EventLog): Promise<RunningNode> {
  const { id, config, live, clock, logger, secret, group } = context;
  const { env, readConfig, onMessage: tell = () => {} } = options;
  const configNow = (): ServerConfig => live.now;
  const key = secret === undefined ? undefined : await importSigningKey(secret);
  const lifecycle = new NodeLifecycle({
    clock,
    logger,
    get drainTimeoutMs() {
      return live.now.hearth.drainTimeoutMs;
    },
  });
  group.add(() => lifecycle.stop());
  const stores = await openStores(config, env["REDIS_URL"], { clock, logger, live });
  group.add(() => stores.close());
  const closing = new AbortController();
  const hub = new StreamHub({
    clock,
    logger,
    nodeId: id,
    plan: planPulls(configNow, (vhost) => stores.storeOf(vhost), { clock, closing: closing.signal }),
    openers: openersOf(context, (vhost) => stores.storeOf(vhost)),
    get recentMs() {
      return recentMsOf(live.now);
    },
  });
  group.add((reason) => (closing.abort(), hub.close(reason)));
  const book = new StatisticsBook(hub, clock);
  group.add(() => book.close());

  const ovt = await publishOvt(context, hub);
  const byUrl = key ? admitByTicket(id, key, clock) : admitBySignedPolicy(configNow, clock);
  const webhooks = new WebhookAdmission({ configNow, clock, logger });
  // Closed after the guests, which say who is gone.
  group.add(() => webhooks.close());
  const deliveries = await openDeliveries(context, hub, admitInTurn(byUrl, webhooks.admit));
  const { redirects, warmDoor } = peersOf(context, { hub, stores, key, deliveries, viewers: () => report.viewers });
  const doors = await openViewerDoors(context, deliveries, () => lifecycle.state, [warmDoor, redirects]);
  const { url, tlsUrl, bytesSent, reloadCertificates } = doors;
  const audience = new ClusterAudience({ nodeId: id, hub, storeOf: (vhost) => stores.storeOf(vhost), clock });
  group.add(() => audience.close());
  const claims = new StreamClaims({ live, hub, stores, ovtPort: ovt.port, clock, logger });
  group.add(() => claims.close());
  const report = new NodeReport({
    id,
    url: url ?? `http://${config.vhosts[0]?.originMapStore?.originHostName ?? "127.0.0.1"}:${ovt.port ?? 0}`,
    region: config.hearth.region,
    get maxViewers() {
      return live.now.hearth.maxViewers;
    },
    protocols: [...new Set(deliveries.flatMap(({ protocols }) => protocols))],
    hub,
    clock,
    state: () => lifecycle.state,
    origins: () => claims.names,
    audiences: () => audience.counts,
    egressBytes: () => deliveries.reduce((sum, { egressBytes }) => sum + (egressBytes?.() ?? 0), bytesSent()),
  });
  const viewersNow = (): number => report.viewers + redirects.returning;
  const reload = readConfig && new ConfigReload({ read: readConfig, live, clock, logger });
  group.add(live.addListener(() => void hub.replan()));
  const cluster = new ClusterCount({ stores, configNow, key, clock });
  const { operatorPort, apiPorts } = await openOperatorDoors(context, {
    audience,
    book,
    claims,
    clusterNodes: () => cluster.nodes,
    deliveries,
    events,
    hub,
    lifecycle,
    ovtMetrics: ovt.metrics,
    reload,
    reloadCertificates,
    report,
    token: env["HEARTH_OPERATOR_TOKEN"] || undefined,
    viewersNow,
  });
  const announcers = announce(context, stores, report, key);
  const announceNow = (): void => {
    for (const announcer of announcers) announcer.announce();
  };
  const tellViewers = (withinMs: number): void => {
    for (const { drain } of deliveries) drain?.(withinMs);
  };
  lifecycle.serve({
    viewers: viewersNow,
    isRouted: announcers.length > 0 && url !== undefined,
    announce: announceNow,
    redirect: () => redirects.start(),
    othersReady: () => redirects.warmed,
    tellViewers,
    giveUpStreams: () => claims.giveUp(),
  });
  prewarm(context, hub, tell);
  // Closing begins here: the router is told before viewers are, so that they are not sent back.
  group.add(() => {
    lifecycle.leave();
    tellViewers(0);
  });
  logger.info("node serves", { url, ovtPort: ovt.port });
  tell({ type: "ready", id, url, tlsUrl, ovtPort: ovt.port, operatorPort });
  return {
    id,
    url,
    tlsUrl,
    ovtPort: ovt.port,
    apiPorts,
    hub,
    reloadCertificates,
    drain: () => lifecycle.drain(),
    drained: lifecycle.drained,
    reload: (cause) => reload?.reload(cause),
    close: (reason) => group.close(reason),
  };
}

interface PeersOptions {
  readonly hub: StreamHub;
  readonly stores: NodeStores;
  readonly key: SigningKey | undefined;
  readonly deliveries: readonly Delivery[];
  readonly viewers: () => number;
}

/** What nodes do for each other's viewers: one that goes sends its own on, the others have streams at hand by then. */
function peersOf(
  { id: nodeId, live, clock, logger, group }: NodeContext,
  { hub, stores, key, deliveries, viewers }: PeersOptions,
): { readonly redirects: PeerRedirects; readonly warmDoor: WarmDoor } {
  const redirects = new PeerRedirects({
    nodeId,
    key,
    storeOf: (vhost) => stores.storeOf(vhost),
    vhosts: () => live.now.vhosts.map(({ name }) => name),
    warm: new WarmPeers({ nodeId, key, hub, clock, logger }),
    spreadMs: () => Math.min(viewers() * spreadPerViewerMs, live.now.hearth.drainTimeoutMs / 10),
    onSentOn: (target) => deliveries.forEach(({ sentOn }) => sentOn?.(target)),
    clock,
    logger,
  });
  group.add(() => redirects.stop());
  const warm = deliveries.flatMap((one) => one.warm ?? []);
  const warmDoor = new WarmDoor({ nodeId, key, hub, warm, clock, logger });
  group.add(() => warmDoor.close());
  return { redirects, warmDoor };
}

/** A drain's redirects, so that the nodes that take the viewers get a hundred a second. */
const spreadPerViewerMs = 10;
/** Loading a store's client holds the thread for a tenth of a second: who comes as the doors open is answered before it. */
const firstAfterMs = 50;

function announce(
  { id, clock, logger, group }: NodeContext,
  stores: NodeStores,
  report: NodeReport,
  key: SigningKey | undefined,
): readonly Announcer[] {
  const sign = (record: NodeRecord, nowMs: number) => signNodeRecord(key, record, nowMs);
  const announcers: Announcer[] = [];
  stores.each((store) => {
    announcers.push(new Announcer({ store, clock, logger, id, record: () => report.next(), sign, firstAfterMs }));
  });
  group.add(async () => void (await Promise.all(announcers.map((announcer) => announcer.close()))));
  return announcers;
}

/** Holds what Server.xml wants held from the start. */
function prewarm(
  { config, clock, logger, group }: NodeContext,
  hub: StreamHub,
  tell: (message: NodeMessage) => void,
): void {
  const held = new Prewarm(config.hearth.prewarm, {
    hub,
    clock,
    logger,
    onResult: (name, isLive, reason) => tell({ type: "prewarm", stream: streamKey(name), isLive, reason }),
  });
  group.add(() => held.close());
}
