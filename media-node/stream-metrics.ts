import type { Metric, MetricReading } from "./api/metrics.ts";
import type { BookEntry, StatisticsBook } from "./core/statistics-book.ts";
import type { ListedStream, StreamHub } from "./core/stream-hub.ts";
import { streamKey, type StreamName } from "./core/stream-name.ts";
import type { Clock } from "./time/clock.ts";
import { isViewerProtocol, watchProtocols } from "./viewer-protocols.ts";

/**
 * Streams that have series of their own, those with the most viewers first: names come from outside, and a metrics
 * database must not grow with them. All streams are in the sums.
 */
export const maxStreamSeries = 200;

interface Measured {
  readonly listed: ListedStream;
  readonly entry: BookEntry | undefined;
}

/** Milliseconds that delivery adds to a stream's age before a viewer sees it; undefined where that is not known now. */
export type DelayOf = (name: StreamName) => number | undefined;

/**
 * `hearth_stream_…`, for the busiest streams.
 * @param delays by protocol as viewers ask
 * @param audienceOf viewers in the whole cluster, where that is known
 */
export function streamMetrics(
  hub: Pick<StreamHub, "list">,
  book: Pick<StatisticsBook, "stream">,
  clock: Clock,
  delays: ReadonlyMap<string, DelayOf> = new Map(),
  audienceOf: (name: StreamName) => number | undefined = () => undefined,
): Metric[] {
  const busiest = oncePerScrape(clock, () => busiestOf(hub, book));
  const each = (name: string, help: string, of: (measured: Measured) => number | undefined): Metric => ({
    name: `hearth_stream_${name}`,
    help,
    read: () =>
      busiest().flatMap(({ stream, measured }) => {
        const value = of(measured);
        return value === undefined ? [] : [{ labels: { stream }, value }];
      }),
  });
  return [
    each("viewers", "Viewers of a stream on this node", ({ listed }) => viewersOf(listed)),
    each(
      "cluster_viewers",
      "Viewers of a stream in the whole cluster, each once; of this node without a store",
      ({ listed }) => Math.max(viewersOf(listed), audienceOf(listed.stream.name) ?? 0),
    ),
    each("received_bytes_total", "Media received", ({ listed }) => listed.stream.stats.bytes),
    each("sent_bytes_total", "Media sent to viewers", ({ listed }) => sum(Object.values(listed.sent))),
    each("received_bytes_per_second", "Media received in the last second", ({ entry }) => entry?.figures.lastBytesIn),
    each("silence_seconds", "Time since the last sample", ({ listed }) =>
      Math.max(0, (clock.nowMs() - listed.stream.stats.lastSampleMs) / 1_000),
    ),
    each("failovers_total", "Lost sources replaced", ({ listed }) => listed.pull?.failovers ?? 0),
    each("source_lost", "1 while the stream has no source", ({ listed }) =>
      listed.pull?.state.phase === "lost" ? 1 : 0,
    ),
    each("hops", "Nodes between the first origin and this one", ({ listed }) => listed.stream.description.path.length),
    each("age_seconds", "Age of the newest sample by the clock of its source: glass to node", ({ listed, entry }) =>
      ageSecondsOf(listed, entry, clock),
    ),
    each("hop_seconds", "From the node before this one to here, by their clocks", ({ listed }) => {
      const hopMs = listed.pull?.hopMs;
      return hopMs === undefined ? undefined : hopMs / 1_000;
    }),
    {
      name: "hearth_stream_glass_to_glass_seconds",
      help: "Age of what viewers see, by protocol: the stream's, and what delivery adds; a WebRTC player's own buffer left out",
      read: () =>
        busiest().flatMap(({ stream, measured }) => {
          const ageSeconds = ageSecondsOf(measured.listed, measured.entry, clock);
          if (ageSeconds === undefined) return [];
          return [...delays].flatMap(([protocol, delayOf]) => {
            const delayMs = delayOf(measured.listed.stream.name);
            return delayMs === undefined ? [] : [{ labels: { stream, protocol }, value: ageSeconds + delayMs / 1_000 }];
          });
        }),
    },
    each("frames_per_second", "Pictures received in the last second", ({ entry }) => videoOf(entry)?.framerate),
    each("group_frames", "Pictures of the last whole group", ({ entry }) => videoOf(entry)?.groupLength),
    each(
      "backwards_total",
      "Times that time went back within a track",
      ({ entry }) => entry && sum(entry.meter.tracks.map(({ backwards }) => backwards)),
    ),
    each("discontinuities_total", "Jumps that viewers were told of", ({ entry }) => entry?.meter.discontinuities),
  ];
}

/** Viewers of all streams, by protocol. */
export function viewersByProtocol(hub: Pick<StreamHub, "list">): MetricReading {
  const counts = Object.fromEntries(watchProtocols.map((protocol) => [protocol, 0]));
  for (const { viewers } of hub.list()) {
    for (const [protocol, count] of Object.entries(viewers))
      if (isViewerProtocol(protocol)) counts[protocol] = counts[protocol]! + count;
  }
  return Object.entries(counts).map(([protocol, value]) => ({ labels: { protocol }, value }));
}

/** Age of the newest sample of a stream, by the wall clock its source tells; undefined before the first. */
export function ageSecondsOf({ stream }: ListedStream, entry: BookEntry | undefined, clock: Clock): number | undefined {
  const track = videoOf(entry) ?? entry?.meter.tracks[0];
  if (!track || track.lastDts === undefined) return undefined;
  const sampleWallMs = stream.description.epochMs + (track.lastDts * 1_000) / track.track.timescale;
  return (clock.wallMs() - sampleWallMs) / 1_000;
}

function busiestOf(hub: Pick<StreamHub, "list">, book: Pick<StatisticsBook, "stream">) {
  const all = hub.list().map((listed) => ({ listed, viewers: viewersOf(listed) }));
  return all
    .toSorted((a, b) => b.viewers - a.viewers)
    .slice(0, maxStreamSeries)
    .map(({ listed }) => ({
      stream: streamKey(listed.stream.name),
      measured: { listed, entry: book.stream(listed.stream.name) },
    }));
}

/** One list for all metrics of a scrape. */
function oncePerScrape<T>(clock: Clock, make: () => T): () => T {
  let made: { readonly value: T; readonly atMs: number } | undefined;
  return () => {
    const nowMs = clock.nowMs();
    if (!made || nowMs - made.atMs > 50) made = { value: make(), atMs: nowMs };
    return made.value;
  };
}

function viewersOf({ viewers }: ListedStream): number {
  return sum(Object.entries(viewers).map(([protocol, count]) => (isViewerProtocol(protocol) ? count : 0)));
}

const videoOf = (entry: BookEntry | undefined) => entry?.meter.tracks.find(({ track }) => track.kind === "video");

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
