// The router loses its store, and the store loses its data: Worker, bridge and store as they run, nodes that only report.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startRouter, type RunningRouter } from "../../infra/laptop/worker.ts";
import type { ClusterStore } from "../../media-node/cluster/store/contract.ts";
import { signNodeRecord } from "../../media-node/cluster/store/node-record.ts";
import { importSigningKey } from "../../media-node/cluster/ticket/signing-key.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { startBridge, type Bridge } from "../../media-node/stores/bridge.ts";
import { startEmbeddedRedis, type EmbeddedRedis } from "../../media-node/stores/embedded-redis.ts";
import { connectRedisStore } from "../../media-node/stores/redis-store.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { nodeRecord, secret } from "../support/router.ts";
import { until } from "../support/until.ts";

const token = "writes";
const readOnlyToken = "reads";
let redis: EmbeddedRedis;
let store: ClusterStore;
let bridge: Bridge;
let router: RunningRouter;
const key = await importSigningKey(secret);
const claim = { vhost: "default", app: "app", stream: "stream", url: "ovt://origin:9000/app/stream", owner: "test" };

/** What an origin and two edges tell the store every 2 s. */
async function report(): Promise<void> {
  await store.claim(claim);
  const { nowMs } = await store.snapshot(claim);
  for (const id of ["edge1", "edge2"]) await store.putNode(id, await signNodeRecord(key, nodeRecord(id), nowMs));
}

const openBridge = (port: number) => startBridge({ port, redisUrl: redis.url, token, readOnlyToken });
const status = async (stream = "stream") =>
  (await fetch(`${router.url}/app/${stream}/llhls.m3u8`, { redirect: "manual" })).status;

before(async () => {
  redis = await startEmbeddedRedis();
  store = await connectRedisStore({ url: redis.url, clock: systemClock, logger: silentLogger, deadlineMs: 5_000 });
  bridge = await openBridge(0);
  await report();
  const vars = {
    HEARTH_SECRET: secret,
    UPSTASH_REDIS_REST_URL: bridge.url,
    UPSTASH_REDIS_REST_TOKEN: readOnlyToken,
  };
  router = await startRouter({ port: 0, vars });
  await until(
    "the router reads the cluster with a token that may only read",
    10_000,
    async () => (await status()) === 302,
  );
});

after(async () => {
  await router?.close();
  await bridge?.close();
  await store?.close();
  await redis?.close();
});

test("without its store the router sends viewers of known streams on, and tells no other that its stream is not there", async () => {
  const { port } = new URL(bridge.url);
  await bridge.close();
  for (const deadlineMs = performance.now() + 3_000; performance.now() < deadlineMs;) {
    assert.equal(await status(), 302);
    assert.equal(await status("unknown"), 503);
  }
  bridge = await openBridge(Number(port));
  await report();
  await until("the router hears of the store again", 10_000, async () => (await status("unknown")) === 404);
});

test("a store that comes back empty costs no viewer", async () => {
  await until("the stream is known from the store", 5_000, async () => (await status()) === 302);
  const { port } = redis;
  await redis.close();
  redis = await startEmbeddedRedis({ port });
  for (const deadlineMs = performance.now() + 3_000; performance.now() < deadlineMs;) assert.equal(await status(), 302);
  await until("the nodes report again", 10_000, () => report().then(() => true));
  assert.equal(await status(), 302);
});
