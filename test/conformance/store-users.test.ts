// The users that docs/store.md recommends can do their work and nothing else.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { snapshotCall } from "../../media-node/cluster/store/script-calls.ts";
import { parseSnapshot } from "../../media-node/cluster/store/script-replies.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { startBridge } from "../../media-node/stores/bridge.ts";
import { connectRedisStore } from "../../media-node/stores/redis-store.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { rawRedis } from "../support/redis-under-test.ts";
import { upstashClient } from "../support/upstash-under-test.ts";

const name = { vhost: "default", app: "app", stream: "s" };
const claim = { ...name, url: "ovt://a:9000/app/s", owner: "a" };

test("the documented users can do their work and nothing else", async () => {
  await using stack = new AsyncDisposableStack();
  const server = await startRedisServer();
  stack.defer(() => server.close());
  const admin = await rawRedis(server.url);
  stack.defer(admin.close);
  const guide = readFileSync(join(import.meta.dirname, "../../docs/store.md"), "utf8");
  const users = guide.match(/^ACL SETUSER .*$/gm) ?? [];
  assert.equal(users.length, 2);
  for (const command of users) await admin.raw(...command.split(" "));

  const nodeUrl = server.url.replace("//", "//hearth-node:node-password@");
  const store = await connectRedisStore({
    url: nodeUrl,
    clock: systemClock,
    logger: silentLogger,
    deadlineMs: 5_000,
  });
  stack.defer(() => store.close());
  const second = { ...claim, url: "ovt://b:9000/app/s", owner: "b" };
  await store.claim(claim);
  await store.claim(second);
  await store.release(claim);
  await store.release(second);
  await store.claim(claim);
  await store.putNode("n", "record");
  await store.dropNode("n");
  await store.putNode("n", "record");

  const routerUrl = server.url.replace("//", "//hearth-router:router-password@");
  const bridge = await startBridge({ port: 0, redisUrl: routerUrl, token: "stolen", deadlineMs: 5_000 });
  stack.defer(() => bridge.close());
  const router = upstashClient(bridge.url, "stolen");
  const { script, keys, args } = snapshotCall(name);
  const snapshot = parseSnapshot(await router.eval(script, [...keys], [...args]));
  assert.deepEqual([snapshot.nodes, snapshot.origins], [["record"], [claim.url]]);
  for (const attempt of [
    () => router.set("app/s", "ovt://evil/app/s"),
    () => router.del("app/s"),
    () => router.eval("return redis.call('SET', KEYS[1], 'x')", ["app/s"], []),
    () => router.flushall(),
  ]) {
    await assert.rejects(attempt, /NOPERM|can't run this command/);
  }
  assert.equal(await admin.raw("GET", "app/s"), claim.url);
  const asNode = await rawRedis(nodeUrl);
  stack.defer(asNode.close);
  for (const command of [["FLUSHALL"], ["CONFIG", "GET", "*"], ["KEYS", "*"], ["SHUTDOWN"]]) {
    await assert.rejects(asNode.raw(...command), /NOPERM/);
  }
});
