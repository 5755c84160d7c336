import { tmpdir } from "node:os";
import type { Metric } from "./api/metrics.ts";
import type { NodeRecord } from "./cluster/store/contract.ts";
import { withAnswerHeaders, type AnswerRules } from "./answer-headers.ts";
import type {
  HlsPublisherConfig,
  HttpPorts,
  LlhlsPublisherConfig,
  PublishersConfig,
  ServerConfig,
  WebrtcPublisherConfig,
} from "./config/server-config.ts";
import type { AdmitViewer, HttpGuest, ViewerTarget } from "./core/guest.ts";
import type { StreamHub } from "./core/stream-hub.ts";
import { streamKey, type StreamName } from "./core/stream-name.ts";
import { SettingError, TransportError } from "./flow/errors.ts";
import { Histogram } from "./flow/histogram.ts";
import { llHlsMetrics } from "./ll-hls-metrics.ts";
import type { LlHlsConfig } from "./llhls/ll-hls-config.ts";
import { createLlHls, type LlHls } from "./llhls/ll-hls.ts";
import { mediaPorts, mediaThreads, openMediaWorkers } from "./media-workers.ts";
import type { NodeContext } from "./node-context.ts";
import { openOpusSound } from "./opus-sound.ts";
import { advertisedAddresses } from "./public-address.ts";
import { oncePerSetting, publishedBy } from "./published-by.ts";
import { applicationFor } from "./pull-planner.ts";
import type { DelayOf } from "./stream-metrics.ts";
import { defaultWebRtcConfig, type WebRtcConfig } from "./webrtc/config.ts";
import { JoinQueue } from "./webrtc/join-queue.ts";
import { newCertificate } from "./webrtc/transport/certificate.ts";
import { openMediaPort } from "./webrtc/transport/open-media-port.ts";
import type { StreamStats } from "./webrtc/stream-counters.ts";
import { createWebRtc, type WebRtcGuest } from "./webrtc/web-rtc.ts";
import type { WatchProtocol } from "./viewer-protocols.ts";
import { viewerSecretOf } from "./viewer-secret.ts";
import { until } from "./warm-door.ts";
import { webRtcMetrics } from "./web-rtc-metrics.ts";

/** A way to viewers. A new one is one function here. */
export interface Delivery {
  readonly protocols: NodeRecord["protocols"];
  /** Of the HTTP servers it is reached at; as configured, so 0 is any free one. At least one of them is there. */
  readonly ports: HttpPorts;
  readonly guest: HttpGuest;
  /** As metrics name it, and those who watch this way. */
  readonly label: WatchProtocol;
  /** What delivery adds to a stream's age for those who watch it this way now; undefined when nobody does. */
  readonly delayOf: DelayOf;
  /** Tells viewers to ask the router again, the last one when `withinMs` are over; 0 = all now. */
  readonly drain?: (withinMs: number) => void;
  /** Gets a stream ready for viewers who are about to come from another node; says whether it is. */
  readonly warm?: (name: StreamName, signal: AbortSignal) => Promise<boolean>;
  /** A request was answered with another node's address. */
  readonly sentOn?: (target: ViewerTarget) => void;
  /** Bytes that do not pass the HTTP server. */
  readonly egressBytes?: () => number;
  readonly metrics?: readonly Metric[];
  /** Figures of one stream, `vhost/app/stream`; undefined when nobody watches it this way. */
  readonly statsOf?: (stream: string) => StreamStats | undefined;
  /** How long its viewers waited. */
  readonly times: { readonly join: Histogram; readonly firstMedia: Histogram };
}

/** Opens what Server.xml has a port and an application for. */
export async function openDeliveries(context: NodeContext, hub: StreamHub, admit: AdmitViewer): Promise<Delivery[]> {
  const segmented = openSegmented(context, hub, admit);
  const webRtc = await openWebRtc(context, hub, admit, segmented.length > 0);
  return webRtc ? [...segmented, webRtc] : segmented;
}

/** LL-HLS and HLS version 3: one guest for each setting. */
function openSegmented(context: NodeContext, hub: StreamHub, admit: AdmitViewer): Delivery[] {
  const { bind, hearth, modules } = context.config;
  const guests: LlHls[] = [];
  const shared = { context, hub, admit, guests };
  const opened = [
    ...(modules.hasLlhls
      ? openPublisher(shared, "llhls", bind.llhls, (setting) => llHlsConfigOf(setting, hearth.dvrMaxBytes))
      : []),
    ...openPublisher(shared, "hls", bind.hls ?? bind.llhls, hlsConfigOf),
  ];
  return opened.map((delivery, index) => (index === 0 ? { ...delivery, metrics: llHlsMetrics(guests) } : delivery));
}

const llHlsConfigOf = (setting: LlhlsPublisherConfig, dvrMaxBytes: number): LlHlsConfig => ({
  partMs: setting.chunkDurationMs,
  segmentMs: setting.segmentDurationMs,
  segmentCount: setting.segmentCount,
  partHoldBackMs: setting.partHoldBackMs,
  hasPreloadHint: setting.hasPreloadHint,
  isLegacyByDefault: setting.defaults.legacy,
  ...(setting.dvr && {
    rewind: { folder: tmpdir(), ...setting.dvr, maxBytes: dvrMaxBytes, isDefault: setting.defaults.rewind },
  }),
  hasDefaultPlaylist: setting.hasDefaultPlaylist,
  maxAge: setting.maxAge,
});

const hlsConfigOf = (setting: HlsPublisherConfig): LlHlsConfig => ({
  partMs: setting.segmentDurationMs,
  segmentMs: setting.segmentDurationMs,
  segmentCount: setting.segmentCount,
  hasDefaultPlaylist: setting.hasDefaultPlaylist,
  maxAge: setting.maxAge,
  mpegTs: { isPlainTaken: setting.isPlainTaken },
});

/** What LL-HLS and HLS version 3 have in common. */
interface Segmented {
  readonly context: NodeContext;
  readonly hub: StreamHub;
  readonly admit: AdmitViewer;
  /** Of both. */
  readonly guests: LlHls[];
}

function openPublisher<P extends "llhls" | "hls">(
  { context, hub, admit, guests }: Segmented,
  publisher: P,
  ports: HttpPorts,
  configOf: (setting: NonNullable<PublishersConfig[P]>) => LlHlsConfig,
): Delivery[] {
  const { live, clock, logger, secret, group } = context;
  const settings = publishersOf(context).flatMap((publishers) => publishers[publisher] ?? []);
  if (!isOpen(ports) || settings.length === 0) return [];
  const own: LlHls[] = [];
  const times = newTimes();
  const open = oncePerSetting((config: LlHlsConfig): LlHls => {
    const guest = createLlHls({
      hub,
      admit,
      clock,
      logger,
      config,
      times,
      ...(secret !== undefined && { secret }),
      secretOf: (vhost) => viewerSecretOf(live.now, vhost),
    });
    group.add((reason) => guest.close(reason));
    guests.push(guest);
    own.push(guest);
    return guest;
  });
  // Who may read the answers is followed answer by answer.
  const guestOf = (setting: NonNullable<PublishersConfig[P]>): LlHls => open(configOf(setting));
  for (const setting of settings) guestOf(setting);
  const guest = publishedBy({
    configNow: () => live.now,
    publisher,
    guestOf,
    findStream: (name) => hub.find(name),
  });
  const answered = withAnswerHeaders(guest, (target) => segmentedRules(live.now, target, publisher));
  return [
    {
      label: publisher,
      protocols: ["llhls"],
      ports,
      guest: answered,
      times,
      drain: () => guests.forEach((one) => one.drain()),
      delayOf: (name) => first(own, (one) => one.holdBackMs(name)),
      // Who has no such publisher for the stream has nothing to get ready.
      warm: async (name, signal) => (await guest.guestFor(name)?.warm(name, signal)) ?? true,
      sentOn: (target) => guest.guestFor(target)?.sentOn(target),
    },
  ];
}

/** @param isBusy whether the main thread has other deliveries */
async function openWebRtc(
  context: NodeContext,
  hub: StreamHub,
  admit: AdmitViewer,
  isBusy: boolean,
): Promise<Delivery | undefined> {
  const { config, live, clock, logger, address, group } = context;
  const { signalling } = config.bind.webrtc;
  const settings = publishersOf(context).flatMap(({ webrtc }) => webrtc ?? []);
  if (!isOpen(signalling) || settings.length === 0) return undefined;
  const addresses = await advertisedAddresses(config, logger);
  const shared = {
    certificate: newCertificate(clock.wallMs()),
    ...(addresses.length > 0 && { advertisedAddresses: addresses }),
    // One port carries the viewers of all applications.
    consentMs: Math.max(...settings.map(({ timeoutMs }) => timeoutMs)),
  };
  const mediaPort = await openMediaPort({
    port: mediaPorts(config)[0]!,
    ...shared,
    ...(address !== undefined && { addresses: [address] }),
    clock,
    logger,
  }).catch((thrown: unknown) => {
    throw thrown instanceof TransportError ? mediaPortTaken(thrown) : thrown;
  });
  group.add(() => mediaPort.close());
  const threads = mediaThreads(config, isBusy);
  // It can be had, and is left to the thread that serves.
  if (threads.mainPort === undefined) await mediaPort.close();
  const port = threads.mainPort === undefined ? undefined : mediaPort;
  const sound = openOpusSound(context, hub);
  const workers = openMediaWorkers(context, hub, threads, shared);
  const guests: WebRtcGuest[] = [];
  const times = newTimes();
  const joins = new JoinQueue(clock);
  const open = oncePerSetting((setting: WebRtcConfig): WebRtcGuest => {
    const guest = createWebRtc({
      hub: sound.hub,
      port,
      admit,
      clock,
      logger,
      times,
      workers,
      joins,
      config: setting,
    });
    guests.push(guest);
    group.add((reason) => guest.close(reason));
    return guest;
  });
  const guestOf = (setting: WebrtcPublisherConfig): WebRtcGuest => open(webRtcConfigOf(setting, config.bind));
  for (const setting of settings) guestOf(setting);
  const guest = publishedBy({
    configNow: () => live.now,
    publisher: "webrtc",
    guestOf,
    findStream: (name) => hub.find(name),
  });
  return {
    label: "webrtc",
    protocols: ["webrtc", "whep"],
    ports: signalling,
    guest: withAnswerHeaders(guest, (target) => webRtcRules(live.now, target)),
    times,
    // Their first viewer would wait for the thread that serves them.
    warm: (_name, signal) => {
      void workers.prepare();
      return until(() => workers.isPrepared, clock, signal);
    },
    delayOf: halfRoundTrip(guests),
    statsOf: (stream) => first(guests, ({ stats }) => stats.streams[stream]),
    drain: (withinMs) => guests.forEach((one) => one.drain(withinMs)),
    egressBytes: () => (port?.stats["bytesOut"] ?? 0) + (workers.stats.port["bytesOut"] ?? 0),
    metrics: [...webRtcMetrics(() => guests.map(({ stats }) => stats), { workers, joins, port }), ...sound.metrics],
  };
}

const webRtcConfigOf = (publisher: WebrtcPublisherConfig, { webrtc }: ServerConfig["bind"]): WebRtcConfig => ({
  ...defaultWebRtcConfig,
  iceServers: webrtc.iceServers,
  maxStreamThreads: publisher.maxStreamThreads,
  maxAppThreads: publisher.maxAppThreads,
  ...(publisher.playoutDelay && { playoutDelay: publisher.playoutDelay }),
  createDefaultPlaylist: publisher.hasDefaultPlaylist,
  ...(publisher.hasRtx !== undefined && { rtx: publisher.hasRtx }),
});

function segmentedRules(
  config: ServerConfig,
  target: ViewerTarget,
  publisher: "llhls" | "hls",
): AnswerRules | undefined {
  const crossDomains = publishersFor(config, target)?.[publisher]?.crossDomains ?? config.crossDomains;
  return crossDomains && { crossDomains, methods: "OPTIONS, GET, HEAD" };
}

function webRtcRules(config: ServerConfig, target: ViewerTarget): AnswerRules | undefined {
  const crossDomains = publishersFor(config, target)?.webrtc?.crossDomains ?? config.crossDomains;
  return crossDomains && { crossDomains, methods: "OPTIONS, GET, HEAD, POST, PATCH, DELETE" };
}

function publishersFor({ vhosts }: ServerConfig, { vhost, app }: ViewerTarget): PublishersConfig | undefined {
  const found = vhosts.find(({ name }) => name === vhost);
  return found && applicationFor(found, app)?.publishers;
}

/** One way to a viewer; a player's own buffer is not known here. */
const halfRoundTrip =
  (guests: readonly WebRtcGuest[]): DelayOf =>
  (name) => {
    const stats = first(guests, (one) => one.stats.streams[streamKey(name)]);
    return stats && stats.viewers > 0 ? stats.roundTripMs / 2 : undefined;
  };

function first<T, R>(all: readonly T[], of: (one: T) => R | undefined): R | undefined {
  for (const one of all) {
    const found = of(one);
    if (found !== undefined) return found;
  }
  return undefined;
}

const newTimes = () => ({ join: new Histogram(), firstMedia: new Histogram() });

const isOpen = ({ port, tlsPort }: HttpPorts): boolean => (port ?? tlsPort) !== undefined;

const publishersOf = ({ config }: NodeContext) =>
  config.vhosts.flatMap(({ applications }) => applications.map(({ publishers }) => publishers));

function mediaPortTaken(cause: TransportError): SettingError {
  const remedy =
    "choose another by Bind/Publishers/WebRTC/IceCandidates in Server.xml, or end the program that holds it";
  return new SettingError(`${cause.message}: ${remedy}.`, { cause });
}
