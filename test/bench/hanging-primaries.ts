// Do 200 streams whose first origin hangs delay anything else in the node?
import assert from "node:assert/strict";
import { loadavg } from "node:os";
import { StreamHub } from "../../media-node/core/stream-hub.ts";
import { dialTcp } from "../../media-node/dial.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { openOvtSource } from "../../media-node/ovt/ovt-source.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { FakeSource, frame } from "../support/fake-source.ts";
import { TcpFaultProxy } from "../support/tcp-fault-proxy.ts";

const streams = 200;
const tickMs = 10;

/** How late timers are while all streams play from their second URL for `ms`. */
async function worstLateness(
  hasFailback: boolean,
  ms: number,
): Promise<{ worstMs: number; p99Ms: number; hung: number }> {
  await using primary = await TcpFaultProxy.open();
  primary.set("hang-up");
  const sources: FakeSource[] = [];
  const hub = new StreamHub({
    clock: systemClock,
    logger: silentLogger,
    nodeId: "edge",
    limits: { opening: 1_000, openingPerClient: 1_000, burst: 10_000 },
    openers: new Map([
      ["ovt", openOvtSource({ dial: dialTcp, clock: systemClock, logger: silentLogger, nodeId: "edge" })],
      ["fake", async () => sources[sources.push(new FakeSource()) - 1]!],
    ]),
    plan: async ({ stream }) => ({
      urls: [`ovt://127.0.0.1:${primary.port}/app/${stream}`, `fake://${stream}`],
      from: "rule",
      noInputTimeoutMs: 3_000,
      unusedTimeoutMs: 60_000,
      graceMs: 30_000,
      isPersistent: false,
      hasFailback,
      failbackIntervalMs: 500,
    }),
  });
  const names = Array.from({ length: streams }, (_, index) => `s${index}`);
  await Promise.all(
    names.map((stream) => hub.acquire({ vhost: "default", app: "app", stream }, { protocol: "prewarm" })),
  );
  assert.equal(sources.length, streams);
  primary.set("drop");
  const before = primary.connects.length;
  let index = 0;
  const media = setInterval(() => {
    for (const { sink } of sources) sink?.onSample(frame(index));
    index++;
  }, 40);
  const late: number[] = [];
  const startMs = performance.now();
  while (performance.now() - startMs < ms) {
    const dueMs = performance.now() + tickMs;
    await new Promise((resolve) => setTimeout(resolve, tickMs));
    late.push(performance.now() - dueMs);
  }
  clearInterval(media);
  const hung = primary.connects.length - before;
  assert.equal(hub.counters.losses.silent + hub.counters.losses.ended, 0, "no stream was disturbed");
  await hub.close({ code: "done" });
  const sorted = late.toSorted((a, b) => a - b);
  return { worstMs: sorted.at(-1)!, p99Ms: sorted[Math.floor(sorted.length * 0.99)]!, hung };
}

await worstLateness(true, 1_500);
const without = await worstLateness(false, 10_000);
const hanging = await worstLateness(true, 10_000);
assert.ok(hanging.hung >= streams, `only ${hanging.hung} probes hung`);
console.log(
  `hanging-primaries: ${streams} streams, ${hanging.hung} probes hanging: timers late p99 ${hanging.p99Ms.toFixed(1)} ms, worst ` +
    `${hanging.worstMs.toFixed(1)} ms; without probes p99 ${without.p99Ms.toFixed(1)}, worst ${without.worstMs.toFixed(1)} ms; ` +
    `load ${loadavg()[0]!.toFixed(1)}`,
);
// What the machine does to every timer is no fault of the probes.
assert.ok(hanging.p99Ms <= 50 && hanging.worstMs <= Math.max(50, 2 * without.worstMs), "no timer late by > 50 ms");
