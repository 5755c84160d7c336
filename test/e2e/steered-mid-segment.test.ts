// Steering moves hls.js in the middle of a segment: it knows some of its parts from the pathway before, and goes on behind it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { steeredMaster } from "../../functions/steering/steered-master.ts";
import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { openBrowser } from "../support/browser.ts";
import { makeClip } from "../support/clip.ts";
import { playerFiles } from "../support/hls-player.ts";
import { startLlHlsNode } from "../support/llhls-node.ts";
import { loopingSource } from "../support/looping-source.ts";
import { until } from "../support/until.ts";

const segmentMs = 2_000;
/** Moments within a segment: its first parts are the old pathway's, the last ones are new. */
const phasesMs = [1_000, 1_300, 1_150, 1_450];
/** Two segments and a half: hls.js that takes a segment for unfinished asks for nothing for seven seconds. */
const withinMs = 5_000;
const pathways = ["a", "b"] as const;

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

test(
  "hls.js loads on, without a pause, when steering moves it in the middle of a segment",
  {
    timeout: 90_000,
  },
  async (t) => {
    const clip = await makeClip({ seconds: 10 });
    let steered = "";
    const startEdge = async () => {
      const node = await startLlHlsNode({
        open: loopingSource(clip, { epochMs: hearthEpochMs, burstMs: 10_000 }),
        secret: "shared by both edges",
        config: { segmentMs },
        page: (path) => (path === "/steered.m3u8" ? { type: "text/plain", body: steered } : playerFiles(path)),
      });
      t.after(() => node.close());
      return node;
    };
    const edges = [await startEdge(), await startEdge()];
    const bases = edges.map(({ baseUrl }) => `${baseUrl}/app/stream/llhls.m3u8`);
    const [master = ""] = await Promise.all(bases.map(async (base) => (await fetch(base)).text()));
    steered = steeredMaster(
      master,
      pathways.map((id, index) => ({ id, base: bases[index]! })),
      `${edges[0]!.baseUrl}/no-steering-but-this-tests`,
    );
    await using browser = await openBrowser();
    const tab = await browser.newPage();
    await tab.goto(`${edges[0]!.baseUrl}/`);
    await tab.evaluate(startScript);
    await until("it plays", 20_000, () => tab.evaluate("video.currentTime > 1"));
    const bufferEnd = async () => Number(await tab.evaluate("bufferEnd()"));
    for (const [index, phaseMs] of phasesMs.entries()) {
      await until(`${phaseMs} ms of a segment are over`, 10_000, () => {
        const lateMs = ((Date.now() - hearthEpochMs) % segmentMs) - phaseMs;
        return lateMs >= 0 && lateMs < 100;
      });
      const order = index % 2 === 0 ? pathways.toReversed() : pathways;
      const before = await bufferEnd();
      await tab.evaluate(`hls.pathwayPriority = ${JSON.stringify(order)}`);
      await until(
        `it loads on, ${phaseMs} ms into a segment`,
        withinMs,
        async () => (await bufferEnd()) > before + 1.5,
      );
      const url = String(await tab.evaluate("hls.latestLevelDetails.url"));
      assert.ok(url.startsWith(edges[index % 2 === 0 ? 1 : 0]!.baseUrl), `${url} is of the pathway asked for`);
    }
    assert.deepEqual(await tab.evaluate("fatal"), []);
  },
);
