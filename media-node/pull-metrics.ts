import type { Metric } from "./api/metrics.ts";
import type { StreamHub } from "./core/stream-hub.ts";

type Reading = readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];

/** How pulls fare: failures, failovers, returns, and what was refused before it became a connect. */
export function pullMetrics(hub: StreamHub): Metric[] {
  const { counters } = hub;
  const by = (label: string, counts: Readonly<Record<string, number>>) => (): Reading =>
    Object.entries(counts).map(([key, value]) => ({ labels: { [label]: key }, value }));
  const total = (name: string, help: string, read: Metric["read"]): Metric => ({
    name: `hearth_pull_${name}_total`,
    help,
    read,
  });
  return [
    { name: "hearth_pulls", help: "Pulls by state", labelNames: ["phase"], read: () => phasesOf(hub) },
    total("tries", "URLs tried, by what came of it", by("result", counters.tries)),
    total("losses", "Sources lost, by cause", by("cause", counters.losses)),
    total("failovers", "Lost sources replaced by another URL", () => counters.failovers),
    total("resumptions", "Lost sources that came back at the same URL", () => counters.resumptions),
    total("failbacks", "Returns to the first URL", () => counters.failbacks),
    total("failback_probes", "Questions whether the first URL works again", by("result", counters.probes)),
    total("stand_downs", "Second sources opened and not taken", () => counters.standDowns),
    total("given_up", "Streams ended because no source came back", () => counters.givenUp),
    total("refusals", "Requests for new streams that no upstream was asked for", by("cause", counters.refusals)),
    total("outage_seconds", "Time without a source, of outages that are over", () => counters.outageMs / 1000),
  ];
}

function phasesOf(hub: StreamHub): Reading {
  const counts: Record<string, number> = { live: 0, lost: 0 };
  for (const { pull } of hub.list()) {
    const phase = pull?.state.phase;
    if (phase !== undefined) counts[phase] = (counts[phase] ?? 0) + 1;
  }
  return Object.entries(counts).map(([phase, value]) => ({ labels: { phase }, value }));
}
