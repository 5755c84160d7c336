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
