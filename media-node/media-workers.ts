import { randomBytes } from "node:crypto";
import { availableParallelism } from "node:os";
import type { ServerConfig } from "./config/server-config.ts";
import type { NodeContext } from "./node-context.ts";
import { newIceCredentials } from "./webrtc/transport/front-door.ts";
import type { NodeCertificate } from "./webrtc/transport/certificate.ts";
import type { MediaPortOptions } from "./webrtc/transport/open-media-port.ts";
import { startWorkerThread } from "./webrtc/workers/start-worker.ts";
import { WorkerPool } from "./webrtc/workers/worker-pool.ts";

/** Below this many viewers a second thread would cost more than it gives. */
const viewersPerThread = 100;

/** UDP (and TCP) ports that media may be sent from, in the order they are used; the first is the main thread's. */
export function mediaPorts({ bind }: ServerConfig): readonly number[] {
  const ports = (bind.webrtc.iceCandidates[0]?.ports ?? []).flatMap(({ first, last }) =>
    Array.from({ length: last - first + 1 }, (_, i) => first + i),
  );
  return ports.length > 0 ? ports : [10_000];
}

/**
 * Threads for WebRTC media beside the main one: one for each further core, as far as Server.xml has ports for them and
 * its worker counts allow. They start when viewers come, so that a small node stays small.
 */
export function openMediaWorkers(
  { config, clock, logger, address, group }: NodeContext,
  port: Pick<MediaPortOptions, "advertisedAddresses" | "consentMs"> & { readonly certificate: NodeCertificate },
): WorkerPool {
  const ports = mediaPorts(config);
  // Port 0 is any free one, as often as wanted.
  const portCount = ports[0] === 0 ? Infinity : ports.length;
  const counts = config.vhosts.flatMap(({ applications }) =>
    applications.flatMap(({ publishers }) => (publishers.webrtc ? [publishers.webrtc.maxAppThreads] : [])),
  );
  const maxWorkers = Math.max(0, Math.min(availableParallelism() - 1, portCount - 1, Math.max(0, ...counts)));
  const pool = new WorkerPool({
    maxWorkers,
    viewersPerThread,
    start: startWorkerThread((index) => ({
      port: ports[index + 1] ?? 0,
      ...(address !== undefined && { addresses: [address] }),
      ...port,
    })),
    clock,
    logger,
    newCredentials: () => newIceCredentials(randomBytes),
  });
  group.add(() => pool.close());
  return pool;
}
