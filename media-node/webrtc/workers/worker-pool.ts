import type { Stream } from "../../core/stream.ts";
import { streamKey } from "../../core/stream-name.ts";
import type { StreamHold } from "../../core/stream-hub.ts";
import type { CloseReason } from "../../flow/close-group.ts";
import type { Logger } from "../../flow/logger.ts";
import type { Clock, Timer } from "../../time/clock.ts";
import { Timers } from "../../time/timers.ts";
import type { WebRtcConfig } from "../config.ts";
import type { IceCredentials } from "../media-port.ts";
import type { StreamStats } from "../stream-counters.ts";
import type { PortFacts, ViewerMoments, ViewerPlace } from "../viewer-place.ts";
import { RemoteViewer } from "./remote-viewer.ts";
import { newSharedRing } from "./shared-ring.ts";
import { StreamRelay } from "./stream-relay.ts";
import { WorkerLink } from "./worker-link.ts";
import type { WorkerReport, WorkerStreamStats } from "./worker-messages.ts";

/** A thread as the pool sees it. */
export interface WorkerThread {
  terminate(): Promise<void>;
}

export interface WorkerPoolOptions {
  /** 0 = every viewer stays in this thread. */
  readonly maxWorkers: number;
  /**
   * This thread has work that would make media late: viewers are served by workers from the first one on, and by this
   * thread only where there is none, or it does not come up.
   */
  readonly isApart?: boolean;
  /** A further worker is started whenever there are so many viewers for each thread that serves. */
  readonly viewersPerThread: number;
  /** Starts worker number `index`. `onExit` is called once, also when it could not be started. */
  readonly start: (
    index: number,
    ring: SharedArrayBuffer,
    onReport: (report: WorkerReport) => void,
    onExit: (cause: string) => void,
  ) => WorkerThread;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly newCredentials: () => IceCredentials;
}

export interface WorkerPoolStats {
  /** Threads that serve now, this one not counted. */
  readonly workers: number;
  /** Threads that ended by themselves. */
  readonly failures: number;
  /** Samples that a worker was too slow to take. */
  readonly dropped: number;
  /** Sums of the workers' ports, at most a second old. */
  readonly port: Readonly<Record<string, number>>;
}

interface MediaWorker {
  readonly index: number;
  readonly link: WorkerLink;
  readonly thread: WorkerThread;
  readonly viewers: Map<number, RemoteViewer>;
  facts: PortFacts | undefined;
  portStats: Readonly<Record<string, number>>;
  streamStats: WorkerStreamStats;
}

/** Half a second of a hundred streams. */
const ringBytes = 8 << 20;
const restartMs = 1_000;
const unblockMs = 5;
/** A worker is there within a quarter of a second; on a machine that starts a hundred processes, later. */
const readyWaitMs = 2_000;

/**
 * Threads that send media, beside the one that signals. They are started as viewers come, so that a node with few of them
 * has one thread; a viewer stays where it was placed. A thread that fails ends its own viewers, and is started again.
 */
export class WorkerPool {
  /** Viewers that this thread serves; who shares the pool counts its own in. */
  localViewers = 0;
  readonly #options: WorkerPoolOptions;
  readonly #workers = new Map<number, MediaWorker>();
  readonly #relays = new Map<Stream, StreamRelay>();
  readonly #restarts: Timers;
  /** Told when a worker serves, or has failed. */
  readonly #waiting = new Set<() => void>();
  #unblock: Timer | undefined;
  #wanted = 0;
  #nextViewer = 1;
  #nextStream = 1;
  #failures = 0;
  #dropped = 0;
  #isClosed = false;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#restarts = new Timers(options.clock);
  }

  get stats(): WorkerPoolStats {
    const port: Record<string, number> = {};
    let dropped = this.#dropped;
    let workers = 0;
    for (const { facts, portStats, link } of this.#workers.values()) {
      if (facts) workers++;
      dropped += link.dropped;
      for (const [name, value] of Object.entries(portStats)) {
        if (Number.isFinite(value)) port[name] = (port[name] ?? 0) + value;
      }
    }
    return { workers, failures: this.#failures, dropped, port };
  }

  /** Whether a worker serves now. */
  get isServing(): boolean {
    return [...this.#workers.values()].some(({ facts }) => facts);
  }

  /** Whether a viewer who came now would wait for no thread. */
  get isPrepared(): boolean {
    return this.isServing || !this.#hasFirst;
  }

  /** Whether viewers are served by a worker from the first one on. */
  get #hasFirst(): boolean {
    return this.#options.isApart === true && this.#options.maxWorkers > 0 && !this.#isClosed;
  }

  /** Of each worker's streams, by name; at most a second old. */
  *streamStats(): Iterable<readonly [stream: string, stats: StreamStats]> {
    const names = new Map([...this.#relays.values()].map(({ id, stream }) => [id, streamKey(stream.name)]));
    for (const { streamStats } of this.#workers.values()) {
      for (const [id, stats] of streamStats) {
        const name = names.get(id);
        if (name !== undefined) yield [name, stats];
      }
    }
  }

  /**
   * Starts the first worker where viewers are kept apart from this thread, so that it is there when one comes.
   * @returns resolves when {@link place} will find it, or it is not worth waiting for; undefined when that is now
   */
  prepare(): Promise<void> | undefined {
    const { clock } = this.#options;
    if (!this.#hasFirst) return undefined;
    this.#grow(0);
    if (this.isServing) return undefined;
    return new Promise((resolve) => {
      const settle = (): void => {
        timer.cancel();
        this.#waiting.delete(settle);
        resolve();
      };
      const timer = clock.after(readyWaitMs, settle);
      this.#waiting.add(settle);
    });
  }

  /**
   * A place for one viewer in another thread; undefined when this one should take it.
   * @param config of the application the stream belongs to
   */
  place(
    hold: StreamHold,
    config: WebRtcConfig,
    logger: Logger,
    { onEnd, ...moments }: ViewerMoments & { readonly onEnd: (reason: CloseReason) => void },
  ): ViewerPlace | undefined {
    const worker = this.#choose(hold.stream, config);
    if (!worker?.facts) return undefined;
    const relay = this.#relayOf(hold.stream, config);
    relay.attach(worker.link);
    const id = this.#nextViewer++;
    const viewer = new RemoteViewer({
      id,
      stream: relay.id,
      hold,
      port: worker.facts,
      credentials: this.#options.newCredentials(),
      logger,
      moments,
      send: (command) => {
        worker.link.command(command);
        this.#watch(worker.link);
      },
      onEnd: (reason) => {
        worker.viewers.delete(id);
        relay.detach(worker.link);
        if (relay.isUnused) this.#dropRelay(relay);
        onEnd(reason);
      },
    });
    worker.viewers.set(id, viewer);
    return viewer;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const settle of this.#waiting) settle();
    this.#unblock?.cancel();
    this.#restarts.close();
    for (const relay of this.#relays.values()) this.#dropRelay(relay);
    await Promise.all([...this.#workers.values()].map(({ thread }) => thread.terminate()));
  }

  #choose(stream: Stream, { maxStreamThreads, maxAppThreads }: WebRtcConfig): MediaWorker | undefined {
    if (maxStreamThreads === 0 || maxAppThreads === 0) return undefined;
    let viewers = this.localViewers;
    for (const worker of this.#workers.values()) viewers += worker.viewers.size;
    this.#grow(viewers);
    const ofStream = this.#relays.get(stream);
    const ofApp = this.#threadsOfApp(stream);
    let fewest: MediaWorker | undefined;
    for (const worker of this.#workers.values()) {
      if (!worker.facts || worker.viewers.size >= (fewest?.viewers.size ?? Infinity)) continue;
      // Where it is sent from already, a stream takes no further thread.
      const fitsStream = (ofStream?.threads ?? 0) < maxStreamThreads || ofStream?.serves(worker.link);
      const fitsApp = ofApp.size < maxAppThreads || ofApp.has(worker);
      if (fitsStream && fitsApp) fewest = worker;
    }
    if (this.#options.isApart) return fewest;
    // This thread has other work too: it counts its viewers twice.
    return fewest && fewest.viewers.size <= 2 * this.localViewers ? fewest : undefined;
  }

  /** Workers that have viewers of the application's streams. */
  #threadsOfApp({ name: { vhost, app } }: Stream): ReadonlySet<MediaWorker> {
    const relays = [...this.#relays.values()].filter(
      ({ stream: { name } }) => name.vhost === vhost && name.app === app,
    );
    const workers = [...this.#workers.values()];
    return new Set(workers.filter(({ link }) => relays.some((relay) => relay.serves(link))));
  }

  #grow(viewers: number): void {
    const { isApart, maxWorkers, viewersPerThread } = this.#options;
    const threads = this.#wanted + (isApart ? 0 : 1);
    if (this.#isClosed || this.#wanted >= maxWorkers || viewers < viewersPerThread * threads) return;
    this.#start(this.#wanted++);
  }

  #start(index: number): void {
    const ring = newSharedRing(ringBytes);
    let hasExited = false;
    const thread = this.#options.start(
      index,
      ring,
      (report) => this.#receive(worker, report),
      (cause) => {
        if (!hasExited) this.#onExit(worker, cause);
        hasExited = true;
      },
    );
    const link = new WorkerLink(ring);
    const worker: MediaWorker = {
      index,
      link,
      thread,
      viewers: new Map(),
      facts: undefined,
      portStats: {},
      streamStats: [],
    };
    this.#workers.set(index, worker);
  }

  #receive(worker: MediaWorker, report: WorkerReport): void {
    switch (report.type) {
      case "ready":
        worker.facts = { candidates: report.candidates, fingerprint: report.fingerprint };
        for (const settle of this.#waiting) settle();
        this.#options.logger.info("media worker serves", { worker: worker.index, send: report.tier });
        return;
      case "failed":
        return this.#options.logger.error("media worker failed", { worker: worker.index, error: report.message });
      case "keyframe":
        return this.#streamOf(report.stream)?.requestKeyframe(report.track);
      case "log":
        return this.#options.logger[report.level](report.event, { ...report.fields, worker: worker.index });
      case "stats":
        worker.portStats = report.port;
        worker.streamStats = report.streams;
        for (const [id, bytes] of report.sent) {
          const viewer = worker.viewers.get(id);
          if (viewer) viewer.sentBytes = bytes;
        }
        return;
      default:
        worker.viewers.get(report.viewer)?.receive(report);
    }
  }

  #onExit(worker: MediaWorker, cause: string): void {
    this.#workers.delete(worker.index);
    for (const settle of this.#waiting) settle();
    this.#dropped += worker.link.dropped;
    if (this.#isClosed) return;
    this.#failures++;
    this.#options.logger.error("media worker ended", { worker: worker.index, viewers: worker.viewers.size, cause });
    for (const relay of this.#relays.values()) relay.forget(worker.link);
    for (const viewer of worker.viewers.values()) viewer.end({ code: "worker-failed", message: cause });
    this.#restarts.after(restartMs, () => this.#start(worker.index));
  }

  #relayOf(stream: Stream, config: WebRtcConfig): StreamRelay {
    const known = this.#relays.get(stream);
    if (known) return known;
    const { clock, logger } = this.#options;
    const relay = new StreamRelay(stream, this.#nextStream++, {
      clock,
      logger,
      config,
      onEnd: () => this.#relays.delete(stream),
    });
    this.#relays.set(stream, relay);
    return relay;
  }

  #dropRelay(relay: StreamRelay): void {
    relay.close();
    this.#relays.delete(relay.stream);
  }

  #streamOf(id: number): Stream | undefined {
    for (const relay of this.#relays.values()) if (relay.id === id) return relay.stream;
    return undefined;
  }

  /** A full ring is tried again until it took what waits. */
  #watch(link: WorkerLink): void {
    if (!link.isBlocked || this.#unblock) return;
    this.#unblock = this.#options.clock.after(unblockMs, () => {
      this.#unblock = undefined;
      for (const worker of this.#workers.values()) {
        worker.link.resume();
        this.#watch(worker.link);
      }
    });
  }
}
