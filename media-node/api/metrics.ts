import { Gauge, Registry } from "prom-client";

/** A figure for `/metrics`, read when somebody asks. */
export interface Metric {
  /** `hearth_…`, with the unit; `_total` for what only grows. */
  readonly name: string;
  readonly help: string;
  /** Of its series; taken from the first reading when absent, so needed where there may be none yet. */
  readonly labelNames?: readonly string[];
  readonly read: () =>
    number | readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** Makes metrics readable in Prometheus' text format. */
export function registryOf(metrics: readonly Metric[]): Registry {
  const registry = new Registry();
  for (const { name, help, read, labelNames: given } of metrics) {
    const first = read();
    const labelNames = given ?? (typeof first === "number" ? [] : Object.keys(first[0]?.labels ?? {}));
    const gauge = new Gauge({
      name,
      help,
      labelNames,
      registers: [registry],
      collect() {
        const now = read();
        gauge.reset();
        if (typeof now === "number") gauge.set(now);
        else for (const { labels, value } of now) gauge.set(labels, value);
      },
    });
  }
  return registry;
}
