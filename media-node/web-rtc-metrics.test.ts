import assert from "node:assert/strict";
import { test } from "node:test";
import { listenForOperators } from "./api/operator-server.ts";
import { webRtcMetrics } from "./web-rtc-metrics.ts";
import { StreamCounters } from "./webrtc/stream-counters.ts";
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
