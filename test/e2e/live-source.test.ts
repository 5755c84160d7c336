// A live RTSP server in place of the clip, and a real Redis in place of the embedded store.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startLaptopCluster } from "../../infra/laptop/cluster.ts";
import { openBrowser } from "../support/browser.ts";
import { decode } from "../support/ffmpeg.ts";
import { servePages } from "../support/page-server.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { startRtspServer } from "../support/rtsp-server.ts";

interface Stats {
  readonly framesDecoded: number;
  readonly audioSamples: number;
  readonly audioEnergy: number;
  /** What the browser plays of the sound is this much later than what it shows, by the source's clock. */
  readonly apartMs: number;
}

/** The source's time, as the browser makes it out from sender reports, of what it plays and shows. */
const apartMs = `(async () => {
  const reports = [...(await state.peer.getStats()).values()].filter(({ type }) => type === "inbound-rtp");
  const of = (kind) => reports.find((report) => report.kind === kind)?.estimatedPlayoutTimestamp;
  return of("audio") - of("video");
})()`;

/** Ten seconds of WHEP in a browser. */
async function watchByWhep(routerUrl: string): Promise<Stats> {
  await using pages = await servePages();
  await using browser = await openBrowser();
  const page = await browser.newPage();
  await page.goto(`${pages.url}/whep.html?endpoint=${routerUrl}/app/stream/whep`);
  await page.waitForFunction("typeof state === 'object' && state.frames > 0", undefined, { timeout: 20_000 });
  await page.waitForTimeout(10_000);
  return { ...((await page.evaluate("stats()")) as Stats), apartMs: (await page.evaluate(apartMs)) as number };
}

test("a live RTSP server with H.264 and Opus plays by WebRTC with sound, kept by a real Redis", async () => {
  const rtsp = await startRtspServer();
  const redis = await startRedisServer();
  const cluster = await startLaptopCluster({
    routerPort: 0,
    redisUrl: redis.url,
    sourceUrl: `rtsp://127.0.0.1:${rtsp.port}/h264-opus`,
  });
  try {
    const { framesDecoded, audioSamples } = await watchByWhep(cluster.url);
    assert.ok(framesDecoded >= 200, `${framesDecoded} frames`);
    assert.ok(audioSamples > 8 * 48_000, `${audioSamples} samples of sound`);
  } finally {
    await cluster.close();
    await redis.close();
    await rtsp.close();
  }
});

test("a live RTSP server with H.264 and AAC plays by LL-HLS as it is, and by WebRTC with Opus in step with the pictures", async (t) => {
  const rtsp = await startRtspServer();
  const cluster = await startLaptopCluster({ routerPort: 0, sourceUrl: `rtsp://127.0.0.1:${rtsp.port}/h264-aac` });
  try {
    const { code, errors, frames } = await decode(`${cluster.url}/app/stream/llhls.m3u8`, 8);
    assert.equal(errors, "");
    assert.equal(code, 0);
    assert.ok(frames >= 150, `${frames} frames`);
    // The camera is pulled by RTSP, its origin by OVT, and ffmpeg turns its sound into Opus on the edge.
    const { framesDecoded, audioSamples, audioEnergy, apartMs } = await watchByWhep(cluster.url);
    t.diagnostic(`${framesDecoded} frames, ${audioSamples} samples, energy ${audioEnergy}, ${apartMs} ms apart`);
    assert.ok(framesDecoded >= 200, `${framesDecoded} frames`);
    assert.ok(audioSamples > 8 * 48_000 && audioEnergy > 0.01, `${audioSamples} samples, energy ${audioEnergy}`);
    // A browser's own delays are in it; test/interop/opus-sound.test.ts measures ours.
    assert.ok(Math.abs(apartMs) < 500, `${apartMs} ms apart`);
  } finally {
    await cluster.close();
    await rtsp.close();
  }
});
