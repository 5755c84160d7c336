// Players as their users embed them, with nothing of ours around them, keep playing when their edge dies: OvenPlayer through
// the router's managed signalling, hls.js by content steering.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startLaptopCluster, type LaptopCluster } from "../../infra/laptop/cluster.ts";
import { openBrowser } from "../support/browser.ts";
import { servePages } from "../support/page-server.ts";
import { until } from "../support/until.ts";

let cluster: LaptopCluster;
let pages: Awaited<ReturnType<typeof servePages>>;
let browser: Awaited<ReturnType<typeof openBrowser>>;

before(async () => {
  cluster = await startLaptopCluster({ routerPort: 0 });
  pages = await servePages();
  browser = await openBrowser();
});

after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await pages?.[Symbol.asyncDispose]();
  await cluster?.close();
});

/** Once the lease of a dead edge has run out nobody is sent to it; a player needs some seconds to see that it is dead. */
const moveMs = 25_000;

/** A node that was just started again is not known to the router yet. */
async function bothEdges(): Promise<void> {
  await until("the router knows both edges", 15_000, async () => {
    const answer = await fetch(`${cluster.url}/-/explain/app/stream`);
    const { runnersUp } = (await answer.json()) as { runnersUp: unknown[] };
    return runnersUp.length === 1;
  });
}

async function servingEdge(): Promise<string> {
  return until("an edge reports its viewer", 10_000, async () => {
    const answer = await fetch(`${cluster.url}/-/cluster`);
    const { nodes } = (await answer.json()) as { nodes: { id: string; viewers: number }[] };
    return nodes.find(({ viewers }) => viewers > 0)?.id;
  });
}

for (const [player, page, file] of [
  ["OvenPlayer", "ovenplayer.html", () => `${cluster.url.replace("http", "ws")}/app/stream?managed=1`],
  ["hls.js", "hls.html", () => `${cluster.url}/app/stream/llhls.m3u8?steering=1`],
  ["hls.js 1.5", "hls.html?library=/hls.js-1.5/hls.mjs&", () => `${cluster.url}/app/stream/llhls.m3u8?steering=1`],
] as const) {
  test(`${player} plays on from the other edge`, { timeout: 120_000 }, async () => {
    await bothEdges();
    const tab = await browser.newPage();
    const query = `${page.includes("?") ? "" : "?"}file=${encodeURIComponent(file())}`;
    await tab.goto(`${pages.url}/${page}${query}`);
    const frames = async () => (await tab.evaluate("state.frames")) as number;
    await until("it plays", 30_000, async () => (await frames()) > 50);
    const serving = await servingEdge();
    const before = await frames();
    await cluster.nodes.get(serving)!.stop("SIGKILL");
    try {
      await until("it shows pictures of the other edge", moveMs, async () => (await frames()) > before + 250);
      assert.notEqual(await servingEdge(), serving);
    } finally {
      await cluster.nodes.get(serving)!.start();
      await tab.close();
    }
  });
}
