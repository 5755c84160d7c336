// What a request costs beyond the Worker: in workerd, with the store and the data centre's cache outside and counted. Isolates
// end whenever the platform likes; the next one begins with what the last left in the cache.
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { startEdgeCacheServer, type EdgeCacheServer } from "../../test/support/edge-cache-server.ts";
import { startRestStore, type RestStore } from "../../test/support/rest-store.ts";
import { nodeRecord, secret } from "../../test/support/router.ts";
import { until } from "../../test/support/until.ts";
import { startRouter, type RunningRouter } from "./worker.ts";

let store: RestStore;
let cache: EdgeCacheServer;
let router: RunningRouter;

const startIsolate = () =>
  startRouter({
    port: 0,
    vars: { HEARTH_SECRET: secret, UPSTASH_REDIS_REST_URL: store.url, UPSTASH_REDIS_REST_TOKEN: store.token },
    cacheAddress: cache.address,
  });
const status = async (path: string) => (await fetch(`${router.url}${path}`, { redirect: "manual" })).status;
const play = (stream: string) => status(`/app/${stream}/llhls.m3u8`);

before(async () => {
  store = await startRestStore(secret);
  cache = await startEdgeCacheServer();
  store.nodes = [nodeRecord("edge1", { streams: { "default/app/carried": 1 } }), nodeRecord("edge2")];
  store.origins = { "app/stream": ["ovt://origin:9000/app/stream"], "app/late": ["ovt://origin:9000/app/late"] };
});

after(async () => {
  await router?.close();
  await cache?.close();
  await store?.close();
});

beforeEach(async () => {
  store.isSilent = false;
  await router?.close();
  router = await startIsolate();
});

/** Asks one after the other, and has every request counted when all that it began has come in. */
async function mostRoundTrips(paths: readonly string[]): Promise<{ store: number; all: number }> {
  const most = { store: 0, all: 0 };
  for (const path of paths) {
    const before_ = { store: store.requests, all: store.requests + cache.matches + cache.puts };
    await status(path);
    // What is finished after the answer comes in before this one's own: both use one connection to the cache.
    await until("the cache has settled", 2_000, async () => {
      const seen = cache.matches + cache.puts;
      await fetch(`${router.url}/-/health`);
      return seen === cache.matches + cache.puts;
    });
    most.store = Math.max(most.store, store.requests - before_.store);
    most.all = Math.max(most.all, store.requests + cache.matches + cache.puts - before_.all);
  }
  return most;
}

test("a request makes one round trip to the store at most, and two in all", async () => {
  const kinds = ["stream", "carried", "unknown", "late", "other"].flatMap((stream) => [
    `/app/${stream}/llhls.m3u8`,
    `/-/resolve/app/${stream}?protocol=webrtc`,
    `/-/steer/app/${stream}?pathways=edge1,edge2`,
    `/-/explain/app/${stream}`,
  ]);
  const most = await mostRoundTrips([...kinds, "/-/cluster", "/", "/-/health", ...kinds]);
  assert.ok(cache.puts > 0 && cache.matches > 0, "the cache takes part");
  assert.deepEqual(most, { store: 1, all: 2 });
});

test("nor does it make more while the store is silent, in a fresh isolate or one that remembers", async () => {
  store.isSilent = true;
  const streams = ["stream", "carried", "unknown", "stream", "late", "unknown"];
  const paths = streams.map((stream) => `/app/${stream}/llhls.m3u8`);
  const most = await mostRoundTrips(paths);
  assert.ok(most.store <= 1 && most.all <= 2, JSON.stringify(most));
});

test("isolates that end lose nothing that a viewer needs while the store is silent", async () => {
  await until("the stream is known, and so is what the cache was told", 10_000, async () => {
    const statuses = [await play("stream"), await play("late"), await play("carried")];
    return statuses.every((one) => one === 302) && cache.puts > 0;
  });
  store.isSilent = true;
  for (let restart = 0; restart < 5; restart++) {
    await router.close();
    router = await startIsolate();
    const asked = ["stream", "carried", "late", "unknown", "stream", "late"];
    const statuses = await Promise.all(asked.map(play));
    assert.deepEqual(statuses, [302, 302, 302, 503, 302, 302], `after restart ${restart + 1}`);
  }
});
