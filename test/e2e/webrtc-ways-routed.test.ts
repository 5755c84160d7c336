// The ways to an edge besides UDP on IPv4, found through the router: IPv6, and ICE-TCP where UDP is blocked.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startLaptopCluster, type LaptopCluster } from "../../infra/laptop/cluster.ts";
import { openBrowser } from "../support/browser.ts";
import { servePages } from "../support/page-server.ts";
import { until } from "../support/until.ts";
import { playOnce } from "../support/whep-viewer.ts";

let cluster: LaptopCluster;
let pages: Awaited<ReturnType<typeof servePages>>;
let browser: Awaited<ReturnType<typeof openBrowser>>;

before(async () => {
  [cluster, pages, browser] = await Promise.all([
    startLaptopCluster({ routerPort: 0, edges: 1, nodeEnv: { HEARTH_IP: "*", HEARTH_MEDIA_ADDRESS: "::1" } }),
    servePages(),
    openBrowser(),
  ]);
});

after(async () => {
  await browser?.[Symbol.asyncDispose]();
  await pages?.[Symbol.asyncDispose]();
  await cluster?.close();
});

const wanted = 200;
/** The path that media comes over, as the browser sees it. */
const pathInUse = `(async () => {
  const reports = [...(await state.peer.getStats()).values()];
  const pair = reports.find(({ type, nominated, state }) => type === "candidate-pair" && nominated && state === "succeeded");
  const { address, protocol } = reports.find(({ id }) => id === pair?.remoteCandidateId) ?? {};
  return { address, protocol };
})()`;

async function play(page: string): Promise<{ readonly address: string; readonly protocol: string }> {
  const tab = await browser.newPage();
  try {
    await tab.goto(page);
    await tab.waitForFunction("typeof state === 'object' && state.frames > 0", undefined, { timeout: 20_000 });
    const played = await until(`${wanted} pictures and their sound`, 30_000, async () => {
      const now: { framesDecoded: number; audioSamples: number } = await tab.evaluate("stats()");
      return now.framesDecoded >= wanted && now.audioSamples > 5 * 48_000 ? now : undefined;
    });
    assert.ok(played.framesDecoded >= wanted);
    return await tab.evaluate(pathInUse);
  } finally {
    await tab.close();
  }
}

const stream = (query: string): string => encodeURIComponent(`${cluster.url}/app/stream/whep${query}`);
const signalling = (query: string): string =>
  encodeURIComponent(`${cluster.url.replace("http", "ws")}/app/stream${query}`);

test("through the router, over IPv6 and over ICE-TCP", { concurrency: true }, async (t) => {
  await Promise.all([
    t.test("Chromium plays by a redirected WHEP over IPv6", async () => {
      const path = await play(`${pages.url}/whep.html?endpoint=${stream("")}`);
      assert.deepEqual(path, { address: "::1", protocol: "udp" });
    }),
    t.test("Chromium plays by a redirected WHEP over ICE-TCP alone", async () => {
      const path = await play(`${pages.url}/whep.html?endpoint=${stream("?transport=tcp")}`);
      assert.deepEqual(path, { address: "::1", protocol: "tcp" });
    }),
    t.test("OvenPlayer plays by the router's managed signalling over ICE-TCP alone", async () => {
      const path = await play(`${pages.url}/ovenplayer.html?file=${signalling("?managed=1&transport=tcp")}`);
      assert.equal(path.protocol, "tcp");
    }),
    ...(["udp", "tcp"] as const).map((protocol) =>
      t.test(`a scripted viewer plays over IPv6 by ${protocol}`, async () => {
        const query = protocol === "tcp" ? "?transport=tcp" : "";
        await using viewer = await playOnce(`${cluster.url}/app/stream/whep${query}`);
        assert.deepEqual([viewer.place.address, viewer.place.protocol], ["::1", protocol]);
        assert.ok(viewer.places.every((place) => protocol === "udp" || place.protocol === "tcp"));
        await until(`${wanted} packets`, 20_000, () => viewer.transport.rtp.length >= wanted);
      }),
    ),
  ]);
});
