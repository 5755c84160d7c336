// How soon after the click is there a picture? First decoded frame in Chromium by WHEP, on an edge that has the stream and on
// one that has to pull it first, and by LL-HLS in hls.js. Wanted: at most 0.5 s, 1 s and 2 s.
import assert from "node:assert/strict";
import { startLaptopCluster } from "../../infra/laptop/cluster.ts";
import { openBrowser } from "../support/browser.ts";
import { servePages } from "../support/page-server.ts";
import { until } from "../support/until.ts";

const rounds = 5;
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const cluster = await startLaptopCluster({ routerPort: 0, nodeEnv: { HEARTH_UNUSED_MS: "500" } });
const pages = await servePages();
const browser = await openBrowser();
const whep = `${pages.url}/whep.html?endpoint=${cluster.url}/app/stream/whep`;
const hls = `${pages.url}/hls.html?file=${cluster.url}/app/stream/llhls.m3u8`;

/** Milliseconds from the page's first line to its first picture; the page stays open when asked to. */
async function firstPicture(url: string, keepOpen = false): Promise<{ ms: number; close: () => Promise<void> }> {
  const page = await browser.newPage();
  await page.goto(url);
  await page.waitForFunction("typeof state === 'object' && state.frames > 5", undefined, { timeout: 20_000 });
  const ms = Number(await page.evaluate("state.firstMs"));
  assert.ok(ms > 0);
  const close = async (): Promise<void> => {
    // A viewer who leaves says so; one who vanishes is only missed after half a minute.
    await page.evaluate("state.peer?.close()");
    await page.close();
  };
  if (!keepOpen) await close();
  return { ms, close };
}

async function untilNobodyPulls(): Promise<void> {
  await until("every edge has let go", 60_000, async () => {
    const answer = await fetch(`${cluster.url}/-/cluster`);
    const { nodes } = (await answer.json()) as { nodes: { protocols: string[]; streams: object }[] };
    return nodes.every(({ protocols, streams }) => protocols.length === 0 || Object.keys(streams).length === 0);
  });
}

await (await firstPicture(whep, true)).close();
const cold: number[] = [];
const warm: number[] = [];
const playlist: number[] = [];
try {
  for (let round = 0; round < rounds; round++) {
    await untilNobodyPulls();
    const first = await firstPicture(whep, true);
    cold.push(first.ms);
    warm.push((await firstPicture(whep)).ms);
    playlist.push((await firstPicture(hls)).ms);
    await first.close();
  }
} finally {
  await browser[Symbol.asyncDispose]();
  await pages[Symbol.asyncDispose]();
  await cluster.close();
}
const all = (values: number[]): string =>
  `${median(values).toFixed(0)} ms [${values.map((ms) => ms.toFixed(0)).join(" ")}]`;
console.log(
  `WebRTC on an edge that has the stream ${all(warm)}, on a cold edge ${all(cold)}: ` +
    `${(median(cold) / median(warm)).toFixed(2)} times; LL-HLS ${all(playlist)}`,
);
