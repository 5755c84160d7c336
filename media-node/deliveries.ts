import type { Metric } from "./api/metrics.ts";
import type { NodeRecord } from "./cluster/store/contract.ts";
import type { HttpPorts, LlhlsPublisherConfig } from "./config/server-config.ts";
import type { AdmitViewer, HttpGuest } from "./core/guest.ts";
import type { StreamName } from "./core/stream-name.ts";
import type { StreamHub } from "./core/stream-hub.ts";
import { SettingError, TransportError } from "./flow/errors.ts";
import { createLlHls } from "./llhls/ll-hls.ts";
import { mediaPorts, openMediaWorkers } from "./media-workers.ts";
import type { NodeContext } from "./node-context.ts";
import { openOpusSound } from "./opus-sound.ts";
import { oncePerSetting, publishedBy } from "./published-by.ts";
import { defaultWebRtcConfig } from "./webrtc/config.ts";
import { newCertificate } from "./webrtc/transport/certificate.ts";
import { openMediaPort } from "./webrtc/transport/open-media-port.ts";
import { createWebRtc } from "./webrtc/web-rtc.ts";
import { viewerSecretOf } from "./viewer-secret.ts";
import { webRtcMetrics } from "./web-rtc-metrics.ts";

/** A way to viewers. A new one is one function here. */
export interface Delivery {
  readonly protocols: NodeRecord["protocols"];
  /** Of the HTTP servers it is reached at; as configured, so 0 is any free one. At least one of them is there. */
  readonly ports: HttpPorts;
  readonly guest: HttpGuest;
  /** Tells viewers to ask the router again. */
  readonly drain?: () => void;
  /** Bytes that do not pass the HTTP server. */
  readonly egressBytes?: () => number;
  readonly metrics?: readonly Metric[];
}

/** Opens what Server.xml has a port and an application for. */
export async function openDeliveries(context: NodeContext, hub: StreamHub, admit: AdmitViewer): Promise<Delivery[]> {
  const opened = [openLlHls(context, hub, admit), await openWebRtc(context, hub, admit)];
  return opened.filter((delivery) => delivery !== undefined);
}

function openLlHls(context: NodeContext, hub: StreamHub, admit: AdmitViewer): Delivery | undefined {
  const { config, live, clock, logger, secret, group } = context;
  const ports = config.bind.llhls;
  const settings = publishersOf(context).flatMap(({ llhls }) => llhls ?? []);
  if (!isOpen(ports) || settings.length === 0 || !config.modules.hasLlhls) return undefined;
  const open = oncePerSetting((setting: LlhlsPublisherConfig): HttpGuest => {
    const guest = createLlHls({
      hub,
      admit,
      clock,
      logger,
      config: {
        partMs: setting.chunkDurationMs,
        segmentMs: setting.segmentDurationMs,
        segmentCount: setting.segmentCount,
        partHoldBackMs: setting.partHoldBackMs,
        hasPreloadHint: setting.hasPreloadHint,
        isLegacyByDefault: setting.defaults.legacy,
        hasDefaultPlaylist: setting.hasDefaultPlaylist,
        maxAge: setting.maxAge,
      },
      ...(secret !== undefined && { secret }),
      secretOf: (vhost) => viewerSecretOf(live.now, vhost),
    });
    group.add((reason) => guest.close(reason));
    return guest;
  });
  for (const setting of settings) open(setting);
  const shared = { configNow: () => live.now, findStream: (name: StreamName) => hub.find(name) };
  return { protocols: ["llhls"], ports, guest: publishedBy({ ...shared, publisher: "llhls", guestOf: open }) };
}

async function openWebRtc(context: NodeContext, hub: StreamHub, admit: AdmitViewer): Promise<Delivery | undefined> {
  const { config, live, clock, logger, address, group } = context;
  const { signalling } = config.bind.webrtc;
  const setting = publishersOf(context).find(({ webrtc }) => webrtc)?.webrtc;
  if (!isOpen(signalling) || !setting) return undefined;
  const certificate = newCertificate(clock.wallMs());
  const mediaPort = await openMediaPort({
    port: mediaPorts(config)[0]!,
    certificate,
    ...(address !== undefined && { addresses: [address] }),
    ...(config.hearth.advertisedAddresses.length > 0 && { advertisedAddresses: config.hearth.advertisedAddresses }),
    clock,
    logger,
  }).catch((thrown: unknown) => {
    throw thrown instanceof TransportError ? mediaPortTaken(thrown) : thrown;
  });
  group.add(() => mediaPort.close());
  const sound = openOpusSound(context, hub);
  const rtx = setting.hasRtx === undefined ? {} : { rtx: setting.hasRtx };
  const settings = { ...defaultWebRtcConfig, ...rtx, createDefaultPlaylist: setting.hasDefaultPlaylist };
  const workers = openMediaWorkers(context, settings, certificate);
  const guest = createWebRtc({
    hub: sound.hub,
    port: mediaPort,
    admit,
    clock,
    logger,
    config: settings,
    workers,
  });
  group.add((reason) => guest.close(reason));
  return {
    protocols: ["webrtc", "whep"],
    ports: signalling,
    guest: publishedBy({
      configNow: () => live.now,
      publisher: "webrtc",
      guestOf: () => guest,
      findStream: (name) => hub.find(name),
    }),
    drain: () => guest.drain(),
    egressBytes: () => (mediaPort.stats["bytesOut"] ?? 0) + (workers.stats.port["bytesOut"] ?? 0),
    metrics: [...webRtcMetrics(guest, workers), ...sound.metrics],
  };
}

const isOpen = ({ port, tlsPort }: HttpPorts): boolean => (port ?? tlsPort) !== undefined;

const publishersOf = ({ config }: NodeContext) =>
  config.vhosts.flatMap(({ applications }) => applications.map(({ publishers }) => publishers));

function mediaPortTaken(cause: TransportError): SettingError {
  const remedy =
    "choose another by Bind/Publishers/WebRTC/IceCandidates in Server.xml, or end the program that holds it";
  return new SettingError(`${cause.message}: ${remedy}.`, { cause });
}
