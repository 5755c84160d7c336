// What does a scrape of a node with 1,000 streams cost, and what do statistics cost a second? Every stream has two tracks that
// play and some viewers; CPU time of this process.
// Wanted: a scrape <= 20 ms CPU; statistics of 1,000 streams, each with 80 samples a second, <= 2 % of a core over what
// publishing them costs alone.
import assert from "node:assert/strict";
import { registryOf } from "../../media-node/api/metrics.ts";
import { StatisticsBook } from "../../media-node/core/statistics-book.ts";
import { StreamHub } from "../../media-node/core/stream-hub.ts";
import type { Source } from "../../media-node/core/source.ts";
import { pullMetrics } from "../../media-node/pull-metrics.ts";
import { streamMetrics, viewersByProtocol } from "../../media-node/stream-metrics.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { ManualClock } from "../../media-node/time/manual-clock.ts";
import { FakeSource } from "../support/fake-source.ts";
import { descriptionOf, opusSample, opusTrack, videoSample, videoTrack } from "../support/synthetic-stream.ts";

const streams = 1_000;
const scrapes = 50;
const clock = new ManualClock();
const sources: FakeSource[] = [];
const open = (): Promise<Source> => {
  const source = new FakeSource(descriptionOf([videoTrack, opusTrack]));
  sources.push(source);
  return Promise.resolve(source);
};
const hub = new StreamHub({
  clock,
  logger: silentLogger,
  nodeId: "bench",
  openers: new Map([["test", open]]),
  plan: () =>
    Promise.resolve({
      urls: ["test://stream"],
      from: "rule",
      noInputTimeoutMs: 3_600_000,
      unusedTimeoutMs: 3_600_000,
      graceMs: 0,
      isPersistent: true,
    }),
});
for (let index = 0; index < streams; index++) {
  const name = { vhost: "default", app: "app", stream: `stream-${index}` };
  const result = await hub.acquire(name, { protocol: index % 2 === 0 ? "whep" : "llhls" });
  assert.equal(result.kind, "stream", JSON.stringify(result));
}

let at = 0;
/** One second of every stream: 30 pictures and 50 sounds. */
function playSecond(): void {
  for (const source of sources) {
    for (let picture = 0; picture < 30; picture++)
      source.push(videoSample(at * 30 + picture, { isKeyframe: picture === 0, bytes: 40 }));
    for (let sound = 0; sound < 50; sound++) source.push(opusSample(at * 50 + sound));
  }
  at++;
}
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
};
function measure(seconds: number): number {
  const startMs = cpuMs();
  for (let second = 0; second < seconds; second++) {
    playSecond();
    clock.advance(1_000);
  }
  return (cpuMs() - startMs) / seconds;
}

measure(3);
const withoutMs = Math.min(measure(4), measure(4));
const book = new StatisticsBook(hub, clock);
measure(2);
const withMs = Math.min(measure(4), measure(4));
const shareOfCore = Math.max(0, withMs - withoutMs) / 1_000;

const registry = registryOf([
  { name: "hearth_viewers", help: "v", read: () => viewersByProtocol(hub) },
  ...pullMetrics(hub),
  ...streamMetrics(hub, book, clock),
]);
let text = "";
for (let warm = 0; warm < 10; warm++) text = await registry.metrics();
const startMs = cpuMs();
for (let scrape = 0; scrape < scrapes; scrape++) {
  clock.advance(100);
  text = await registry.metrics();
}
const scrapeMs = (cpuMs() - startMs) / scrapes;
assert.ok(text.split("\n").length > 2_000, "the scrape has the streams' series");
book.close();
console.log(
  `metrics-scrape: ${scrapeMs.toFixed(1)} ms CPU a scrape of ${streams} streams, ${Math.round(text.length / 1024)} KiB; ` +
    `statistics ${(100 * shareOfCore).toFixed(2)} % of a core`,
);
await hub.close({ code: "shutdown" });
