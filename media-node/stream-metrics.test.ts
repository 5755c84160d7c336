import assert from "node:assert/strict";
import { test } from "node:test";
import { descriptionOf, opusTrack, videoTrack } from "../test/support/synthetic-stream.ts";
import { registryOf } from "./api/metrics.ts";
import type { ListedStream } from "./core/stream-hub.ts";
import { Stream } from "./core/stream.ts";
import { maxStreamSeries, streamMetrics } from "./stream-metrics.ts";
import { ManualClock } from "./time/manual-clock.ts";

const clock = new ManualClock();

function listed(stream: string, viewers: number): ListedStream {
  const name = { vhost: "default", app: "app", stream };
  const live = new Stream(name, descriptionOf([videoTrack, opusTrack]), { clock });
  return { stream: live, pull: undefined, viewers: { llhls: viewers }, sent: { llhls: viewers } };
}

const seriesOf = (text: string): string[] => text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));

test("100,000 streams of random names make a bounded number of series, those with the most viewers", async () => {
  const one = listed("x", 0);
  // A stream of its own for each would cost a gigabyte; the name is what matters here.
  const streams = Array.from({ length: 100_000 }, (_, index): ListedStream => {
    const stream = Object.create(one.stream, {
      name: { value: { vhost: "default", app: "app", stream: `random-${index.toString(36)}` } },
    }) as Stream;
    return {
      ...one,
      stream: Object.defineProperty(stream, "stats", { value: one.stream.stats }),
      viewers: { llhls: index },
    };
  });
  for (const stream of streams.slice(-maxStreamSeries)) {
    Object.defineProperty(stream.stream, "description", { value: one.stream.description });
  }
  const metrics = streamMetrics({ list: () => streams }, { stream: () => undefined }, clock);
  const series = seriesOf(await registryOf(metrics).metrics());
  assert.ok(series.length > maxStreamSeries && series.length <= 20_000, `${series.length} series`);
  assert.ok(series.some((line) => line.includes(`random-${(99_999).toString(36)}"`)));
  assert.ok(!series.some((line) => line.includes('random-0"')));
});

test("a stream's series go with it", async () => {
  const streams = [listed("a", 2)];
  const registry = registryOf(streamMetrics({ list: () => streams }, { stream: () => undefined }, clock));
  assert.match(await registry.metrics(), /^hearth_stream_viewers\{stream="default\/app\/a"\} 2$/m);
  streams.length = 0;
  clock.advance(100);
  assert.equal(seriesOf(await registry.metrics()).length, 0);
});
