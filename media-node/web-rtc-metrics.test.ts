import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryMediaPort } from "../test/support/memory-media-port.ts";
import { descriptionOf, videoTrack } from "../test/support/synthetic-stream.ts";
import { registryOf } from "./api/metrics.ts";
import { listenForOperators } from "./api/operator-server.ts";
import { Stream } from "./core/stream.ts";
import { silentLogger } from "./flow/logger.ts";
import { ManualClock } from "./time/manual-clock.ts";
import { webRtcMetrics } from "./web-rtc-metrics.ts";
import { defaultWebRtcConfig } from "./webrtc/config.ts";
import { SessionTable } from "./webrtc/session-table.ts";
import { StreamCounters } from "./webrtc/stream-counters.ts";
import type { ViewerPlace } from "./webrtc/viewer-place.ts";
import type { WebRtcGuest } from "./webrtc/web-rtc.ts";

test("of more streams than anybody looks at, those with the most viewers have series", () => {
  const streams = Object.fromEntries(
    Array.from({ length: 1_000 }, (_, i) => [`default/app/${i}`, { ...new StreamCounters().stats, viewers: i }]),
  );
  const stats = { sessions: 0, opened: 0, ended: {}, sockets: 0, streams };
  const found = webRtcMetrics(() => [stats]).find(({ name }) => name === "hearth_webrtc_viewers")!;
  const series = found.read();
  assert.ok(Array.isArray(series));
  assert.equal(series.length, 200);
  const names = series.map(({ labels }) => labels["stream"]);
  assert.ok(names.includes("default/app/999") && !names.includes("default/app/799"));
});

test("of ten thousand streams that come and go sums are left, and there were never series of more than two hundred", async () => {
  const clock = new ManualClock();
  const config = defaultWebRtcConfig;
  const random = (length: number): Uint8Array => new Uint8Array(length).fill(0x12);
  const hub = { acquire: () => assert.fail("nobody asks") };
  const port = new MemoryMediaPort();
  const table = new SessionTable({ hub, port, clock, logger: silentLogger, random, config, defer: () => {} });
  const metrics = webRtcMetrics(() => [{ sessions: table.size, sockets: 0, ...table.stats, streams: table.streams }]);
  const text = (): Promise<string> => registryOf(metrics).metrics();
  const series = async (): Promise<number> => (await text()).match(/^hearth_[^ ]+ /gm)!.length;
  const watch = (name: string): ViewerPlace => {
    const stream = new Stream({ vhost: "default", app: "app", stream: name }, descriptionOf([videoTrack]), { clock });
    return table.open({ stream, viewers: 1, release() {} }, silentLogger, "192.0.2.1", () => {});
  };
  watch("first").close({ code: "deleted" });
  const without = await series();
  let most = 0;
  for (let round = 0; round < 10; round++) {
    const viewers = Array.from({ length: 1_000 }, (_, i) => watch(`${round}-${i}`));
    most = Math.max(most, await series());
    for (const viewer of viewers) viewer.close({ code: "deleted" });
  }
  const perStream = metrics.filter(({ labelNames }) => labelNames?.includes("stream")).length;
  assert.equal(most, without + 200 * perStream);
  assert.equal(await series(), without);
  assert.match(await text(), /^hearth_webrtc_sessions_ended_total\{reason="deleted"\} 10001$/m);
  assert.equal(clock.pendingTimers, 0);
});

test("series of a stream appear with it, and go with it", async () => {
  const streams: Record<string, StreamCounters["stats"]> = {};
  const guest: Pick<WebRtcGuest, "stats"> = { stats: { sessions: 1, opened: 2, ended: {}, sockets: 0, streams } };
  const server = await listenForOperators({
    port: 0,
    metrics: webRtcMetrics(() => [guest.stats]),
    describe: () => ({}),
    state: () => "serving",
  });
  try {
    const read = async (): Promise<string> => (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text();
    assert.match(await read(), /^hearth_webrtc_sessions 1$/m);
    streams["default/app/stream"] = { ...new StreamCounters().stats, viewers: 3 };
    assert.match(await read(), /^hearth_webrtc_viewers\{stream="default\/app\/stream"\} 3$/m);
    delete streams["default/app/stream"];
    assert.doesNotMatch(await read(), /default\/app\/stream/);
  } finally {
    await server.close();
  }
});

test("what floods and crowds cost is counted, of every thread's port together", () => {
  const port = { stats: { datagramsIn: 10, stunUnauthentic: 3, droppedUnknownAddress: 2 } };
  const stats = { workers: 1, failures: 0, dropped: 0, port: { datagramsIn: 5, stunUnauthentic: 1 } };
  const metrics = webRtcMetrics(() => [], { workers: { stats }, joins: { length: 7, refused: 8 }, port });
  const read = (name: string) => metrics.find((metric) => metric.name === `hearth_webrtc_${name}`)!.read();
  assert.equal(read("datagrams_received_total"), 15);
  assert.deepEqual(
    (read("datagrams_dropped_total") as { labels: { cause: string }; value: number }[]).filter(
      ({ value }) => value > 0,
    ),
    [
      { labels: { cause: "address" }, value: 2 },
      { labels: { cause: "password" }, value: 4 },
    ],
  );
  assert.deepEqual([read("joins_waiting"), read("joins_refused_total")], [7, 8]);
});
