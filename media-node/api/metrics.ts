import { createRequire } from "node:module";
import type { Registry } from "prom-client";
import type { Histogram } from "../flow/histogram.ts";

/**
 * The registry alone: what else is in prom-client, default metrics and OpenTelemetry's interface, is eighty files that a
 * node would load before it opens its doors.
 */
const TextRegistry = createRequire(import.meta.url)("prom-client/lib/registry") as typeof Registry;

/** Values of one metric, one for each combination of labels. */
export type MetricReading = readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];

/** A figure for `/metrics`, read when somebody asks. */
export interface Metric {
  /** `hearth_…`, with the unit; `_total` for what only grows: a counter, anything else is a gauge. */
  readonly name: string;
  readonly help: string;
  /** For readers of the code; what is read says it to Prometheus. */
  readonly labelNames?: readonly string[];
  readonly read: () => number | MetricReading;
}

/** How long something took, by one label. */
export interface HistogramMetric {
  /** With the unit, `…_seconds`. */
  readonly name: string;
  readonly help: string;
  readonly label: string;
  readonly histograms: Readonly<Record<string, Histogram>>;
}

interface Written {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * Makes metrics readable in Prometheus' text format. Values are taken as they are read: prom-client's own gauges would keep
 * a copy of each by a hash of its labels, which costs several times the scrape.
 */
export function registryOf(metrics: readonly Metric[], histograms: readonly HistogramMetric[] = []): Registry {
  const registry = new TextRegistry();
  const add = (name: string, help: string, type: "counter" | "gauge" | "histogram", values: () => Written[]): void => {
    const metric = { name, help, type, get: () => Promise.resolve({ name, help, type, values: values() }) };
    registry.registerMetric(metric as unknown as Parameters<Registry["registerMetric"]>[0]);
  };
  for (const { name, help, read } of metrics) {
    add(name, help, name.endsWith("_total") ? "counter" : "gauge", () => {
      const now = read();
      return typeof now === "number" ? [{ labels: {}, value: now }] : [...now];
    });
  }
  for (const { name, help, label, histograms: byLabel } of histograms) {
    add(name, help, "histogram", () =>
      Object.entries(byLabel).flatMap(([key, histogram]) => writtenOf(name, { [label]: key }, histogram)),
    );
  }
  return registry;
}

function writtenOf(name: string, labels: Record<string, string>, histogram: Histogram): Written[] {
  const { bounds, cumulative, count, sum } = histogram;
  return [
    ...bounds.map((bound, index) => ({
      metricName: `${name}_bucket`,
      labels: { ...labels, le: String(bound) },
      value: cumulative[index]!,
    })),
    { metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: count },
    { metricName: `${name}_sum`, labels, value: sum },
    { metricName: `${name}_count`, labels, value: count },
  ];
}
