// Steering moves hls.js in the middle of a segment: it knows some of its parts from the pathway before, and goes on behind it.
// Far away it aborts its own loads unless the page helps it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import type { BrowserContext } from "playwright-core";
import { steeredMaster } from "../../functions/steering/steered-master.ts";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { openBrowser } from "../support/browser.ts";
import { makeClip } from "../support/clip.ts";
import { playerFiles } from "../support/hls-player.ts";
import { startLlHlsNode } from "../support/llhls-node.ts";
import { loopingSource } from "../support/looping-source.ts";
import { TcpFaultProxy } from "../support/tcp-fault-proxy.ts";
import { until } from "../support/until.ts";

const segmentMs = 2_000;
/** Moments within a segment: its first parts are the old pathway's, the last ones are new. */
const phasesMs = [1_000, 1_300, 1_150, 1_450];
/** Two segments and a half: hls.js that takes a segment for unfinished asks for nothing for seven seconds. */
const withinMs = 5_000;
const pathways = ["a", "b"] as const;
const pageScript = readFileSync(new URL("../../functions/page/steered-hls.js", import.meta.url), "utf8");

/** Runs in the page; plays far enough behind that a busy machine shows in no picture. */
const startScript = `
  globalThis.hls = new Hls({ lowLatencyMode: true, liveSyncDuration: 3 });
  globalThis.video = document.getElementById("v");
  globalThis.bufferEnd = () => (video.buffered.length > 0 ? video.buffered.end(video.buffered.length - 1) : 0);
  globalThis.fatal = [];
  hls.on(Hls.Events.ERROR, (_, { details, fatal: isFatal }) => isFatal && fatal.push(details));
  hls.loadSource("/steered.m3u8");
  hls.attachMedia(video);
`;

/** A page that plays two edges by turns. */
async function openScene(t: TestContext, browser: BrowserContext, farMs = 0) {
  const clip = await makeClip({ seconds: 10 });
  let steered = "";
  const files = (path: string): { type: string; body: string } | undefined => {
    if (path === "/steered.m3u8") return { type: "text/plain", body: steered };
    return path === "/steered-hls.js" ? { type: "text/javascript", body: pageScript } : playerFiles(path);
  };
  const startEdge = async () => {
    const open = loopingSource(clip, { epochMs: hearthEpochMs, burstMs: 10_000 });
    const node = await startLlHlsNode({ open, secret: "shared by both edges", config: { segmentMs }, page: files });
    t.after(() => node.close());
    if (farMs === 0) return node.baseUrl;
    const path = await TcpFaultProxy.open(Number(new URL(node.baseUrl).port));
    path.set("pass", farMs);
    t.after(() => path[Symbol.asyncDispose]());
    return `http://127.0.0.1:${path.port}`;
  };
  const edges = [await startEdge(), await startEdge()];
  const masters = edges.map((edge) => `${edge}/app/stream/llhls.m3u8`);
  const [master = ""] = await Promise.all(masters.map(async (url) => (await fetch(url)).text()));
  steered = steeredMaster(
    master,
    pathways.map((id, index) => ({ id, base: masters[index]! })),
    `${edges[0]!}/no-steering-but-this-tests`,
  );
  const tab = await browser.newPage();
  await tab.goto(`${edges[0]!}/`);
  await tab.evaluate(startScript);
  return { tab, edges };
}

/** Moves the player at these moments of a segment, to one edge and the other. */
async function move({ tab, edges }: Awaited<ReturnType<typeof openScene>>, phasesMs: readonly number[]): Promise<void> {
  const bufferEnd = async (): Promise<number> => Number(await tab.evaluate("bufferEnd()"));
  await until("it plays", 20_000, () => tab.evaluate("video.currentTime > 1"));
  for (const [index, phaseMs] of phasesMs.entries()) {
    await until(`${phaseMs} ms of a segment are over`, 10_000, () => {
      const lateMs = ((Date.now() - hearthEpochMs) % segmentMs) - phaseMs;
      return lateMs >= 0 && lateMs < 100;
    });
    const order = index % 2 === 0 ? pathways.toReversed() : pathways;
    const before = await bufferEnd();
    await tab.evaluate(`hls.pathwayPriority = ${JSON.stringify(order)}`);
    const edge = edges[index % 2 === 0 ? 1 : 0]!;
    await until(`it loads on, ${phaseMs} ms into a segment`, withinMs, async () => {
      const url = String(await tab.evaluate("hls.latestLevelDetails.url"));
      return url.startsWith(edge) && (await bufferEnd()) > before + 1.5;
    });
  }
  assert.deepEqual(await tab.evaluate("fatal"), []);
}

test(
  "hls.js loads on, without a pause, when steering moves it in the middle of a segment",
  { timeout: 90_000 },
  async (t) => {
    await using browser = await openBrowser();
    await move(await openScene(t, browser), phasesMs);
  },
);

test(
  "far from the edges it does, too, in a page that helps it as the router's does",
  { timeout: 90_000 },
  async (t) => {
    await using browser = await openBrowser();
    const scene = await openScene(t, browser, 75);
    await scene.tab.evaluate(`import("/steered-hls.js").then((page) => page.goOnAfterSteering(hls, Hls.Events))`);
    await move(scene, [133, 133, 133]);
  },
);
