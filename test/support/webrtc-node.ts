import { randomBytes } from "node:crypto";
import { StreamHub } from "../../media-node/core/stream-hub.ts";
import type { OpenSource } from "../../media-node/core/source.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import type { IceCandidate, MediaPort, PeerEvents, PeerTransport } from "../../media-node/webrtc/media-port.ts";
import type { WebRtcConfig } from "../../media-node/webrtc/config.ts";
import { newCertificate } from "../../media-node/webrtc/transport/certificate.ts";
import { newIceCredentials } from "../../media-node/webrtc/transport/front-door.ts";
import { openMediaPort } from "../../media-node/webrtc/transport/open-media-port.ts";
import { createWebRtc, type WebRtcGuest } from "../../media-node/webrtc/web-rtc.ts";
import { startWorkerThread } from "../../media-node/webrtc/workers/start-worker.ts";
import { WorkerPool, type WorkerThread } from "../../media-node/webrtc/workers/worker-pool.ts";
import { HttpDoor } from "./http-door.ts";

/** The WebRTC room on a real port, with every stream pulled from one source. */
export interface WebRtcNode extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly hub: StreamHub;
  readonly guest: WebRtcGuest;
  readonly workers: WorkerPool;
  /** Media threads, as they were started. */
  readonly threads: readonly WorkerThread[];
}

export interface WebRtcNodeOptions {
  /** What viewers are told to connect to; default loopback. */
  readonly address?: string;
  /** Media threads, the first of which starts with the first viewer; default none. */
  readonly maxWorkers?: number;
  readonly config?: Partial<WebRtcConfig>;
  /** Puts something between the hub and its viewers. */
  readonly hubFor?: (hub: StreamHub) => Pick<StreamHub, "acquire">;
  /** Sees every viewer's transport before it is used. */
  readonly watch?: (peer: PeerTransport) => PeerTransport;
  /** Changes the candidates that viewers are told, given the port they were opened on. */
  readonly candidates?: (candidates: readonly IceCandidate[]) => Promise<readonly IceCandidate[]>;
}

/** Opens a node for players on this machine. */
export async function openWebRtcNode(open: OpenSource, options: WebRtcNodeOptions = {}): Promise<WebRtcNode> {
  const address = options.address ?? "127.0.0.1";
  const hub = new StreamHub({
    clock: systemClock,
    logger: silentLogger,
    nodeId: "test",
    openers: new Map([["test", open]]),
    plan: () =>
      Promise.resolve({
        urls: ["test://stream"],
        from: "rule",
        noInputTimeoutMs: 3_000,
        unusedTimeoutMs: 60_000,
        graceMs: 0,
        retryCount: 0,
        isPersistent: false,
      }),
  });
  const certificate = newCertificate(Date.now());
  const port = await openMediaPort({
    addresses: [address],
    advertisedAddresses: [address],
    certificate,
    clock: systemClock,
    logger: silentLogger,
  });
  const candidates = await (options.candidates?.(port.candidates) ?? Promise.resolve(port.candidates));
  const threads: WorkerThread[] = [];
  const start = startWorkerThread(() => ({
    addresses: [address],
    advertisedAddresses: [address],
    port: 0,
    certificate,
  }));
  const workers = new WorkerPool({
    maxWorkers: options.maxWorkers ?? 0,
    viewersPerThread: 0,
    start: (...given) => {
      const thread = start(...given);
      threads.push(thread);
      return thread;
    },
    clock: systemClock,
    logger: silentLogger,
    newCredentials: () => newIceCredentials(randomBytes),
  });
  const guest = createWebRtc({
    ...(options.config && { config: options.config }),
    workers,
    hub: options.hubFor?.(hub) ?? hub,
    port: new PortBehind(port, candidates, options.watch),
    admit: () => Promise.resolve({ isAdmitted: true }),
    clock: systemClock,
    logger: silentLogger,
  });
  const door = new HttpDoor(guest);
  return {
    url: await door.open(),
    hub,
    guest,
    workers,
    threads,
    async [Symbol.asyncDispose]() {
      await guest.close({ code: "shutdown" });
      await door.close();
      await workers.close();
      await port.close();
      await hub.close({ code: "shutdown" });
    },
  };
}

/** A port whose candidates are another's, such as a proxy's. */
class PortBehind implements MediaPort {
  readonly #port: MediaPort;
  readonly #watch: (peer: PeerTransport) => PeerTransport;
  readonly candidates: readonly IceCandidate[];

  constructor(port: MediaPort, candidates: readonly IceCandidate[], watch = (peer: PeerTransport) => peer) {
    this.#port = port;
    this.#watch = watch;
    this.candidates = candidates;
  }

  get fingerprint(): string {
    return this.#port.fingerprint;
  }

  get stats(): Readonly<Record<string, number>> {
    return this.#port.stats;
  }

  get tier(): string {
    return this.#port.tier;
  }

  open(events: PeerEvents): PeerTransport {
    return this.#watch(this.#port.open(events));
  }

  flush(): void {
    this.#port.flush();
  }

  close(): Promise<void> {
    return this.#port.close();
  }
}
