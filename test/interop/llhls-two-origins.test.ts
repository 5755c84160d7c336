// LL-HLS of an edge with two origins: over TLS and HTTP/2 in hls.js, over TLS in ffmpeg, and in hls.js while the origin in use
// dies, once and four times in a row.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { Page } from "playwright-core";
import { openBrowser } from "../support/browser.ts";
import { openFailoverWorld } from "../support/failover-world.ts";
import { decode } from "../support/ffmpeg.ts";
import { servePages } from "../support/page-server.ts";
import { startTwoOrigins, type TwoOrigins } from "../support/two-origins.ts";
import { until } from "../support/until.ts";

let cluster: TwoOrigins;
let pages: Awaited<ReturnType<typeof servePages>>;
let browser: Awaited<ReturnType<typeof openBrowser>>;

before(async () => {
  cluster = await startTwoOrigins();
  pages = await servePages();
  browser = await openBrowser([cluster.spki]);
});

after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await pages?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
});

interface Seen {
  readonly time: number;
  readonly stalls: number;
  readonly errors: unknown[];
  readonly isLowLatency: boolean;
  /** Stretches of media without a hole that the player holds. */
  readonly stretches: number;
}

const see = (tab: Page): Promise<Seen> =>
  tab.evaluate(`(({ stalls, errors, isLowLatency }) =>
    ({ stalls, errors, isLowLatency, time: video.currentTime, stretches: video.buffered.length }))(state)`);

const playsTo = (tab: Page, time: number): Promise<Seen> =>
  until(`it has played to ${time} s`, 40_000, async () => {
    const seen = await see(tab);
    return seen.time >= time ? seen : undefined;
  });

/** Opens the stream in hls.js; resolves when it has played for a second, with all that it had by then. */
async function begin(url: string): Promise<{ tab: Page; playlists: string[]; protocols: Set<string>; from: number }> {
  const tab = await browser.newPage();
  const playlists: string[] = [];
  const protocols = new Set<string>();
  tab.on("response", (response) => {
    if (response.url().includes(".m3u8") && !response.url().startsWith(pages.url))
      response.text().then(
        (text) => playlists.push(text),
        () => {},
      );
  });
  const inspector = await browser.newCDPSession(tab);
  await inspector.send("Network.enable");
  inspector.on("Network.responseReceived", ({ response }) => {
    if (!response.url.startsWith(pages.url)) protocols.add(response.protocol ?? "");
  });
  await tab.goto(`${pages.url}/hls.html?file=${encodeURIComponent(`${url}/app/stream/llhls.m3u8`)}`);
  const from = await until("it plays", 30_000, async () => {
    const { time, errors } = await see(tab).catch(() => ({ time: 0, errors: [] }));
    assert.deepEqual(errors, []);
    return time > 1 ? time : undefined;
  });
  return { tab, playlists, protocols, from };
}

test("hls.js plays over TLS, every request in HTTP/2", { timeout: 60_000 }, async (t) => {
  const { tab, playlists, protocols, from } = await begin(cluster.tlsUrl);
  const seen = await playsTo(tab, from + 3);
  t.diagnostic(JSON.stringify({ ...seen, playlists: playlists.length, protocols: [...protocols] }));
  assert.deepEqual([...protocols], ["h2"]);
  assert.deepEqual(seen.errors, []);
  assert.equal(seen.isLowLatency, true);
  assert.ok(playlists.length >= 20, `${playlists.length} playlists`);
  await tab.close();
});

test("ffmpeg plays both tracks over TLS without an error", { timeout: 60_000 }, async () => {
  const { code, errors, frames, audioMs } = await decode(`${cluster.tlsUrl}/app/stream/llhls.m3u8`, 4);
  assert.deepEqual([code, errors], [0, ""]);
  assert.ok(frames >= 98 && audioMs >= 3_900, `${frames} frames, ${audioMs} ms of sound`);
});

test("hls.js plays on without a stall when the origin in use is killed", { timeout: 90_000 }, async (t) => {
  const { tab, playlists, from } = await begin(cluster.url);
  // It may stall once while it finds its distance from the live end.
  const before = await playsTo(tab, from + 3);
  const [killed, left] = await cluster.killServing();
  const listsBefore = playlists.length;
  const seen = await playsTo(tab, before.time + 6);
  t.diagnostic(JSON.stringify({ killed, before, seen, playlists: [listsBefore, playlists.length] }));
  assert.deepEqual(await cluster.serving(), [left]);
  assert.equal(seen.stalls, before.stalls);
  assert.deepEqual(seen.errors, []);
  assert.equal(seen.stretches, 1);
  assert.ok(playlists.length >= listsBefore + 20, `${playlists.length - listsBefore} playlists since`);
  assert.deepEqual(
    playlists.filter((text) => !text.startsWith("#EXTM3U") || text.includes("DISCONTINUITY")),
    [],
  );
  await tab.close();
});

test("hls.js plays on through four switches of origin in one playback", { timeout: 90_000 }, async (t) => {
  await using world = await openFailoverWorld();
  const { edge, first, second } = world;
  const { tab, playlists, from } = await begin(edge.url!);
  const before = await playsTo(tab, from + 3);
  const listsBefore = playlists.length;
  let seen = before;
  for (const [left, next] of [
    [first, second],
    [second, first],
    [first, second],
    [second, first],
  ] as const) {
    await next.up();
    const came = next.connects.length;
    assert.ok(left.openCount > 0, "the edge pulls from the one that ends");
    await left.down();
    await until("the edge pulls from the other one", 5_000, () => next.connects.length > came);
    seen = await playsTo(tab, seen.time + 3);
  }
  t.diagnostic(JSON.stringify({ before, seen, playlists: playlists.length - listsBefore }));
  assert.equal(seen.stalls, before.stalls);
  assert.deepEqual(seen.errors, []);
  assert.equal(seen.stretches, 1);
  assert.ok(playlists.length >= listsBefore + 40, `${playlists.length - listsBefore} playlists since`);
  assert.deepEqual(
    playlists.filter((text) => !text.startsWith("#EXTM3U") || text.includes("DISCONTINUITY")),
    [],
  );
  await tab.close();
});
