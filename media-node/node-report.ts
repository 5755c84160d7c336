import type { NodeRecord } from "./cluster/store/contract.ts";
import type { StreamHub } from "./core/stream-hub.ts";
import { streamKey } from "./core/stream-name.ts";
import type { Clock } from "./time/clock.ts";
import { isViewerProtocol } from "./viewer-protocols.ts";

export interface NodeReportOptions {
  readonly id: string;
  readonly url: string;
  readonly region: string;
  /** 0 = no limit; may change while the node runs. */
  readonly maxViewers: number;
  readonly protocols: NodeRecord["protocols"];
  readonly hub: StreamHub;
  readonly clock: Clock;
  readonly state: () => NodeRecord["state"];
  /** `vhost/app/stream` of what this node publishes as origin. */
  readonly origins: () => readonly string[];
  /** `vhost/app/stream` → viewers in the whole cluster, as far as that is known. */
  readonly audiences: () => Readonly<Record<string, number>>;
  /** Bytes sent to viewers since the process began. */
  readonly egressBytes: () => number;
}

/** Describes this node as of now; rates are means since the last call. */
export class NodeReport {
  readonly #options: NodeReportOptions;
  readonly #startedMs: number;
  #lastMs: number;
  #lastCpuUs = cpuUs();
  #lastEgressBytes = 0;
  #egressBps = 0;
  #cpu = 0;

  constructor(options: NodeReportOptions) {
    this.#options = options;
    this.#startedMs = options.clock.wallMs();
    this.#lastMs = options.clock.nowMs();
  }

  get viewers(): number {
    return countViewers(this.#options.hub).viewers;
  }

  get egressBytes(): number {
    return this.#options.egressBytes();
  }

  /** The record as of now, with the rates of the last one. */
  peek(): NodeRecord {
    return this.#record(this.#egressBps, this.#cpu);
  }

  /** The record to publish; begins the next interval for the rates. */
  next(): NodeRecord {
    const { clock, egressBytes } = this.#options;
    const nowMs = clock.nowMs();
    const elapsedMs = Math.max(1, nowMs - this.#lastMs);
    const nowCpuUs = cpuUs();
    const bytes = egressBytes();
    this.#egressBps = Math.round(((bytes - this.#lastEgressBytes) * 8_000) / elapsedMs);
    this.#cpu = Math.min(1, (nowCpuUs - this.#lastCpuUs) / 1_000 / elapsedMs);
    this.#lastMs = nowMs;
    this.#lastCpuUs = nowCpuUs;
    this.#lastEgressBytes = bytes;
    return this.peek();
  }

  #record(egressBps: number, cpu: number): NodeRecord {
    const { id, url, region, maxViewers, protocols, hub, state, origins, audiences } = this.#options;
    return {
      id,
      url,
      state: state(),
      protocols,
      region,
      ...countViewers(hub),
      maxViewers,
      egressBps,
      cpu,
      origins: origins(),
      audiences: audiences(),
      startedMs: this.#startedMs,
    };
  }
}

function countViewers(hub: StreamHub): Pick<NodeRecord, "viewers" | "streams"> {
  const streams: Record<string, number> = {};
  let viewers = 0;
  for (const { stream, viewers: byProtocol } of hub.list()) {
    let count = 0;
    for (const [protocol, holders] of Object.entries(byProtocol)) if (isViewerProtocol(protocol)) count += holders;
    streams[streamKey(stream.name)] = count;
    viewers += count;
  }
  return { viewers, streams };
}

function cpuUs(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
