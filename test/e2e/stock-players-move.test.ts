// Players as their users embed them, with nothing of ours around them, keep playing when their edge dies or drains: OvenPlayer
// through the router's managed signalling, hls.js by content steering.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
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

const signallingUrl = (): string => `${cluster.url.replace("http", "ws")}/app/stream`;

interface Played {
  /** Connections made so far; each counts its pictures from nought. */
  readonly peers: number;
  readonly decoded: number;
  readonly states: string[];
  readonly errors: string[];
}

/** In tabs behind another a page is told of one picture a second: only the connection knows how many were decoded. */
const played = (tab: Page): Promise<Played> =>
  tab.evaluate("stats().then(({ framesDecoded: decoded }) => ({ ...state, peer: undefined, decoded }))");

/** `count` tabs, each with one OvenPlayer that has shown some pictures. */
async function ovenPlayers(count: number, sources: readonly string[]): Promise<Page[]> {
  const query = sources.map((file) => `file=${encodeURIComponent(file)}`).join("&");
  const tabs: Page[] = [];
  for (let i = 0; i < count; i++) {
    const tab = await browser.newPage();
    await tab.goto(`${pages.url}/ovenplayer.html?${query}`);
    await tab.waitForFunction("typeof state === 'object' && state.peer");
    tabs.push(tab);
  }
  for (const tab of tabs) await until("it plays", 30_000, async () => (await played(tab)).decoded > 50);
  return tabs;
}

async function showsOther(tab: Page): Promise<void> {
  await until("pictures of the other edge", 15_000, async () => {
    const { peers, decoded } = await played(tab);
    return peers === 2 && decoded > 100;
  });
}

/** Drains the edge that has viewers, and starts it again when `use` is done. */
async function whileDrained(use: (id: string) => Promise<void>): Promise<void> {
  const id = await servingEdge();
  const node = cluster.nodes.get(id)!;
  try {
    assert.equal(await node.stop("SIGTERM", 32_000), 0, "it ended by itself, within its limit");
    await use(id);
  } finally {
    await node.start();
  }
}

test("three OvenPlayers leave an edge that drains, on the sockets they have", { timeout: 120_000 }, async () => {
  await bothEdges();
  const tabs = await ovenPlayers(3, [`${signallingUrl()}?managed=1`]);
  let opened = 0;
  for (const tab of tabs) tab.on("websocket", () => opened++);
  await whileDrained(async (id) => {
    for (const tab of tabs) {
      await showsOther(tab);
      const { errors, states } = await played(tab);
      assert.deepEqual(errors, []);
      assert.deepEqual(states, ["loading", "playing", "paused", "loading", "playing"]);
    }
    assert.notEqual(await servingEdge(), id);
    assert.equal(opened, 0);
  });
  await Promise.all(tabs.map((tab) => tab.close()));
});

test("without managed signalling OvenPlayer goes on to its next source", { timeout: 120_000 }, async () => {
  await bothEdges();
  const [tab] = await ovenPlayers(1, [signallingUrl(), signallingUrl()]);
  await whileDrained(async (id) => {
    await showsOther(tab!);
    assert.deepEqual((await played(tab!)).errors, []);
    assert.notEqual(await servingEdge(), id);
  });
  await tab!.close();
});

/** What a player's page tells of itself since `state` was last cleared. */
interface PlayerState {
  readonly errors: unknown[];
  readonly stalls: number;
  readonly time: number;
  readonly isSamePage: boolean;
}

test(
  "players of every kind leave an edge that drains: none gives up, none is reloaded",
  {
    timeout: 120_000,
  },
  async (t) => {
    await bothEdges();
    const steered = encodeURIComponent(`${cluster.url}/app/stream/llhls.m3u8?steering=1`);
    const players: Record<string, string> = {
      "hls.js 1.7": `/hls.html?file=${steered}`,
      "hls.js 1.5": `/hls.html?library=/hls.js-1.5/hls.mjs&file=${steered}`,
      "OvenPlayer LL-HLS": `/ovenplayer.html?type=llhls&file=${steered}`,
      "OvenPlayer WebRTC": `/ovenplayer.html?file=${encodeURIComponent(`${signallingUrl()}?managed=1`)}`,
    };
    const tab = await browser.newPage();
    const query = Object.values(players).map((page) => `page=${encodeURIComponent(page)}`);
    await tab.goto(`${pages.url}/players.html?${query.join("&")}`);
    await until("all players are there", 10_000, () => tab.frames().length === 1 + query.length);
    const frames = tab.frames().slice(1);
    const ask = (index: number): Promise<PlayerState> =>
      frames[index]!.evaluate(
        "({ errors: state.errors, stalls: state.stalls, time: document.querySelector('video').currentTime, isSamePage: window.isMarked === true })",
      );
    for (const [index, name] of Object.keys(players).entries())
      await until(`${name} plays`, 30_000, async () => (await ask(index)).time > 3);
    // The edge joined the stream in the middle of a segment, which its list has for three target durations.
    for (const [index, name] of Object.keys(players).entries())
      await until(`${name} has played on`, 30_000, async () => (await ask(index)).time > 13);
    // Some players stall once while they find their distance from the live end.
    for (const frame of frames)
      await frame.evaluate("state.stalls = 0, state.errors.length = 0, window.isMarked = true");
    await whileDrained(async (id) => {
      const times = await Promise.all(frames.map(async (_, index) => (await ask(index)).time));
      for (const [index, name] of Object.keys(players).entries()) {
        // A new peer connection may begin to count anew.
        await until(`${name} plays on`, 15_000, async () => {
          const { time } = await ask(index);
          return time > times[index]! + 3 || (time < times[index]! && time > 3);
        });
        const { errors, stalls, isSamePage } = await ask(index);
        t.diagnostic(`${name}: ${stalls} stalls, errors ${JSON.stringify(errors).slice(0, 300)}`);
        assert.ok(isSamePage, name);
        // What a player mends by itself is told above; two names for one number, or what it cannot mend, is ours.
        const ours = errors.filter((error) => {
          const { details, fatal } = error as { details?: string; fatal?: boolean };
          return fatal !== false || details === "levelParsingError";
        });
        assert.deepEqual(ours, [], name);
      }
      assert.notEqual(await servingEdge(), id);
    });
    await tab.close();
  },
);
