import { randomBytes } from "node:crypto";
import { availableParallelism } from "node:os";
import type { ServerConfig } from "./config/server-config.ts";
import type { StreamHub } from "./core/stream-hub.ts";
import type { NodeContext } from "./node-context.ts";
import { newIceCredentials } from "./webrtc/transport/front-door.ts";
import type { NodeCertificate } from "./webrtc/transport/certificate.ts";
import type { MediaPortOptions } from "./webrtc/transport/open-media-port.ts";
import { startWorkerThread } from "./webrtc/workers/start-worker.ts";
import { WorkerPool } from "./webrtc/workers/worker-pool.ts";

/**
 * Below this many viewers a second sending thread costs more than it gives: each packs the stream, wakes and warms up for
 * itself. 400 viewers of 2.5 Mbit/s are half of a core.
 */
const viewersPerThread = 400;

/** Which thread sends by which port. */
interface MediaThreads {
  /** Undefined where a worker has the only one. */
  readonly mainPort: number | undefined;
  readonly workerPort: (index: number) => number;
  readonly maxWorkers: number;
  readonly isApart: boolean;
}

/** UDP (and TCP) ports that media may be sent from, in the order they are used. */
export function mediaPorts({ bind }: ServerConfig): readonly number[] {
  const ports = (bind.webrtc.iceCandidates[0]?.ports ?? []).flatMap(({ first, last }) =>
    Array.from({ length: last - first + 1 }, (_, i) => first + i),
  );
  return ports.length > 0 ? ports : [10_000];
}

/**
 * As many workers as cores, one less where the main thread has other deliveries; as far as Server.xml has ports for them and
 * its worker counts allow. The main thread takes no viewer where it need not (docs/decisions/webrtc-apart.md), and has the
 * first port where it may.
 * @param isBusy the main thread has other deliveries
 */
export function mediaThreads(config: ServerConfig, isBusy: boolean): MediaThreads {
  // On one core a second thread moves nothing out of the way that is worth its memory.
  const isApart = isBusy || availableParallelism() > 1;
  const ports = mediaPorts(config);
  // Port 0 is any free one, as often as wanted.
  const portCount = ports[0] === 0 ? Infinity : ports.length;
  const publishers = config.vhosts.flatMap(({ applications }) =>
    applications.flatMap((application) => application.publishers.webrtc ?? []),
  );
  const isMainSpared = isApart && portCount === 1 && publishers.every(({ maxStreamThreads }) => maxStreamThreads > 0);
  const ownPorts = isMainSpared ? 0 : 1;
  // Beside LL-HLS, viewers have a thread of their own on one core, too; signalling alone leaves nearly a core.
  const cores = isBusy ? Math.max(1, availableParallelism() - 1) : isApart ? availableParallelism() : 0;
  const mostWanted = Math.max(0, ...publishers.map(({ maxAppThreads }) => maxAppThreads));
  return {
    mainPort: isMainSpared ? undefined : ports[0]!,
    workerPort: (index) => ports[index + ownPorts] ?? 0,
    maxWorkers: Math.max(0, Math.min(cores, portCount - ownPorts, mostWanted)),
    isApart,
  };
}

/**
 * Threads for WebRTC media beside the main one. They start when viewers come, so that a small node stays small; kept apart,
 * the first one with the first stream.
 */
export function openMediaWorkers(
  { clock, logger, address, group }: NodeContext,
  hub: StreamHub,
  { isApart, maxWorkers, workerPort }: MediaThreads,
  port: Pick<MediaPortOptions, "advertisedAddresses" | "consentMs"> & { readonly certificate: NodeCertificate },
): WorkerPool {
  const pool = new WorkerPool({
    maxWorkers,
    isApart,
    viewersPerThread,
    start: startWorkerThread((index) => ({
      port: workerPort(index),
      ...(address !== undefined && { addresses: [address] }),
      ...port,
    })),
    clock,
    logger,
    newCredentials: () => newIceCredentials(randomBytes),
  });
  // Who has a stream will have viewers.
  if (isApart) group.add(hub.addListener({ onStream: () => void pool.prepare(), onStreamEnd: () => {} }));
  group.add(() => pool.close());
  return pool;
}
