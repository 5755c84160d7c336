// A pull goes on through restarts and freezes of its server; viewers' timestamps continue.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Sample } from "../../media-node/core/sample.ts";
import { StreamHub } from "../../media-node/core/stream-hub.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { openRtspSource } from "../../media-node/rtsp/rtsp-source.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { dialLoopback } from "../support/collect-source.ts";
import { startRtspServer } from "../support/rtsp-server.ts";
import { until } from "../support/until.ts";

test("one stream outlives its server, and its timestamps never go back", async () => {
  let server = await startRtspServer();
  const { port } = server;
  const open = openRtspSource({ dial: dialLoopback, clock: systemClock, logger: silentLogger });
  const hub = new StreamHub({
    clock: systemClock,
    logger: silentLogger,
    nodeId: "node",
    openers: new Map([["rtsp", open]]),
    plan: async () => ({
      urls: [`rtsp://127.0.0.1:${port}/h264-aac`],
      from: "rule",
      noInputTimeoutMs: 1_500,
      unusedTimeoutMs: 60_000,
      graceMs: 30_000,
      isPersistent: false,
    }),
  });
  try {
    const acquired = await hub.acquire({ vhost: "default", app: "app", stream: "s" }, { protocol: "llhls" });
    assert.ok(acquired.kind === "stream", JSON.stringify(acquired));
    const samples: Sample[] = [];
    let discontinuities = 0;
    let ended: string | undefined;
    acquired.hold.stream.addReader({
      onSample: (sample) => void samples.push(sample),
      onDescription: (_description, isDiscontinuity) => void (discontinuities += Number(isDiscontinuity)),
      onEnd: ({ code }) => (ended = code),
    });
    await until("media", 10_000, () => samples.length > 50);
    await server.kill();
    const atDeath = samples.length;
    server = await startRtspServer("--port", String(port));
    await until("media after the restart", 20_000, () => samples.length > atDeath + 50);
    assert.deepEqual([ended, discontinuities], [undefined, 0]);
    for (const trackId of [0, 1]) {
      const track = samples.filter((sample) => sample.trackId === trackId);
      for (const [index, { dts }] of track.slice(1).entries()) assert.ok(dts > track[index]!.dts);
    }
    const resumed = samples.slice(atDeath).find(({ trackId }) => trackId === 0);
    assert.equal(resumed?.isKeyframe, true);
  } finally {
    await hub.close({ code: "shutdown" });
    await server.close();
  }
});
