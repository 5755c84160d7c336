import type { HistogramMetric, Metric, MetricReading } from "./api/metrics.ts";
import type { StatisticsBook } from "./core/statistics-book.ts";
import type { StreamHub } from "./core/stream-hub.ts";
import type { ClusterAudience } from "./cluster-audience.ts";
import type { Delivery } from "./deliveries.ts";
import type { EventLog } from "./flow/event-log.ts";
import type { NodeLifecycle } from "./node-lifecycle.ts";
import type { NodeReport } from "./node-report.ts";
import { pullMetrics } from "./pull-metrics.ts";
import type { StreamClaims } from "./stream-claims.ts";
import { streamMetrics, viewersByProtocol, type DelayOf } from "./stream-metrics.ts";
import { runningTimers, type Clock } from "./time/clock.ts";
import { version } from "./version.ts";

export interface NodeMetricsOptions {
  readonly id: string;
  readonly region: string;
  readonly clock: Clock;
  readonly hub: StreamHub;
  readonly book: StatisticsBook;
  readonly report: NodeReport;
  readonly lifecycle: NodeLifecycle;
  readonly claims: StreamClaims;
  readonly deliveries: readonly Delivery[];
  readonly events: EventLog;
  readonly audience: ClusterAudience;
  /** Nodes that the stores know, by state; undefined before the first answer. */
  readonly clusterNodes: () => Readonly<Record<string, number>> | undefined;
}

/** Everything a node says of itself in `/metrics` but for what its rooms count. */
export function nodeMetrics(options: NodeMetricsOptions): Metric[] {
  const { id, region, clock, hub, book, report, lifecycle, claims, deliveries, events, audience, clusterNodes } =
    options;
  const startedMs = clock.wallMs();
  return [
    {
      name: "hearth_node_info",
      help: "1, with what this node is in its labels",
      read: () => [{ labels: { id, region, version }, value: 1 }],
    },
    {
      name: "hearth_node_state",
      help: "1 for the state the node is in",
      read: () => ["starting", "serving", "draining"].map((state) => one("state", state, lifecycle.state === state)),
    },
    { name: "hearth_start_time_seconds", help: "When it started, Unix time", read: () => startedMs / 1_000 },
    { name: "hearth_cpu_seconds_total", help: "CPU time of the process", read: cpuSeconds },
    {
      name: "hearth_open_resources",
      help: "Sockets, timers and other things that are open, by kind",
      read: openResources,
    },
    { name: "hearth_memory_bytes", help: "Resident memory", read: () => process.memoryUsage.rss() },
    {
      name: "hearth_nodes",
      help: "Nodes of the cluster that the store knows, by state",
      read: () => counted("state", clusterNodes() ?? {}),
    },
    { name: "hearth_streams", help: "Streams that are live here", read: () => hub.list().length },
    { name: "hearth_viewers", help: "Viewers connected here, by protocol", read: () => viewersByProtocol(hub) },
    { name: "hearth_egress_bytes_per_second", help: "Sent to viewers lately", read: () => report.peek().egressBps / 8 },
    { name: "hearth_egress_bytes_total", help: "Sent to viewers, headers included", read: () => report.egressBytes },
    { name: "hearth_received_bytes_total", help: "Media received", read: () => book.figures("")?.bytesIn ?? 0 },
    {
      name: "hearth_leases",
      help: "Streams this node publishes as origin: owned, on standby behind another origin, or unknown to the store",
      read: () => counted("standing", claims.standings),
    },
    {
      name: "hearth_events_total",
      help: "Lines of the log, debug left out, by level",
      read: () => counted("level", events.counts),
    },
    ...pullMetrics(hub),
    ...streamMetrics(hub, book, clock, delaysOf(deliveries), (name) => audience.of(name)),
    ...deliveries.flatMap(({ metrics }) => metrics ?? []),
  ];
}

/** What viewers waited for, by protocol. */
export function nodeHistograms(deliveries: readonly Delivery[]): HistogramMetric[] {
  const of = (key: "join" | "firstMedia") =>
    Object.fromEntries(deliveries.map(({ label, times }) => [label, times[key]]));
  return [
    {
      name: "hearth_join_seconds",
      help: "From a viewer's request until it is connected, or has its master playlist",
      label: "protocol",
      histograms: of("join"),
    },
    {
      name: "hearth_first_media_seconds",
      help: "From a viewer's request until the first media has left",
      label: "protocol",
      histograms: of("firstMedia"),
    },
  ];
}

const delaysOf = (deliveries: readonly Delivery[]): ReadonlyMap<string, DelayOf> =>
  new Map(deliveries.map(({ label, delayOf }) => [label, delayOf] as const));

const counted = (label: string, counts: Readonly<Record<string, number>>): MetricReading =>
  Object.entries(counts).map(([key, value]) => ({ labels: { [label]: key }, value }));

const one = (label: string, key: string, isOn: boolean) => ({ labels: { [label]: key }, value: isOn ? 1 : 0 });

/** Kinds are the runtime's own: a dozen or so. */
function openResources(): MetricReading {
  // The platform counts only timers that keep the process alive, and ours do not.
  const counts: Record<string, number> = { Timer: runningTimers() };
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counted("kind", counts);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}
