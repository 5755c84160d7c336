// Whoever can write to Redis can write anything there. Five hundred planted values, in every place that is read.
import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreUnavailable } from "../../media-node/cluster/store/contract.ts";
import { nodeLeasesKey, nodeRecordsKey, storeLimits, streamKeys } from "../../media-node/cluster/store/keys.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { connectRedisStore } from "../../media-node/stores/redis-store.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { rawRedis } from "../support/redis-under-test.ts";

const name = { vhost: "default", app: "app", stream: "s" };
const mine = { ...name, url: "ovt://mine:9000/app/s", owner: "mine" };

const hostile: readonly string[] = [
  "http://169.254.169.254/latest/meta-data",
  "ovt://127.0.0.1:6379/app/s",
  "ovt://h:9000/app/s\r\nSET x y",
  "rtsp://user:pass@evil.example@h/s",
  "ovt://xn--e1afmkfd.example/app/s",
  "ovt://",
  "://",
  "javascript://%0aalert(1)",
  "\0",
  "",
  " ",
  "{}",
  "[]",
  "null",
  "-1",
  "1e308",
  "9".repeat(400),
  "nan",
  "\n\n\n",
  "x".repeat(storeLimits.recordBytes + 1),
  "ovt://" + "x".repeat(storeLimits.urlBytes),
  "é".repeat(5_000),
  "\ufffd\uffff",
];

function poisons(count: number): readonly string[] {
  const random = seededRandom(7);
  const pick = (below: number): number => Math.floor(random() * below);
  const bytes = (): string => String.fromCharCode(...Array.from({ length: pick(200) }, () => pick(256)));
  return Array.from({ length: count }, (_, index) => {
    if (index < hostile.length) return hostile[index]!;
    const [a, b] = [hostile[pick(hostile.length)]!, bytes()];
    return [`${a}${b}`, `${b}${a}`, `${Date.now() + 5_000} ${pick(100)} ${a}`, `${Date.now() + 5_000} ${b} ${a}`, b][
      pick(5)
    ]!;
  });
}

test("five hundred planted values neither break a reading nor hide what is real, and all of it stays bounded", async () => {
  await using stack = new AsyncDisposableStack();
  const server = await startRedisServer();
  stack.defer(() => server.close());
  const { raw, close } = await rawRedis(server.url);
  stack.defer(close);
  const store = await connectRedisStore({ ...server, clock: systemClock, logger: silentLogger, deadlineMs: 10_000 });
  stack.defer(() => store.close());
  const { origins, plain, plainMark } = streamKeys(name);
  const late = String(Date.now() + 5_000);

  for (const poison of poisons(500)) {
    await store.putNode("real", "real record");
    await raw("HSET", origins, poison, `${late} 1 x`);
    await raw("HSET", origins, "ovt://other/app/s", poison);
    await raw("HSET", origins, "epoch", poison);
    await raw("HSET", nodeRecordsKey, poison, poison);
    await raw("ZADD", nodeLeasesKey, late, poison);
    await raw("SET", plain, poison);
    await raw("SET", plainMark, poison);
    const urls = await store.lookup(name);
    assert.ok(urls.length <= storeLimits.originsPerStream + 1);
    assert.ok(urls.every((url) => url.includes("://") && url.length <= storeLimits.urlBytes));
    const snapshot = await store.snapshot(name);
    assert.deepEqual(snapshot.origins, urls);
    assert.ok(snapshot.nodes.includes("real record"));
    assert.ok(snapshot.nodes.every((record) => record.length <= storeLimits.recordBytes));
    const claimed = await store.claim(mine);
    assert.ok(claimed.kind === "standby" || Number.isSafeInteger(claimed.epoch));
    assert.ok((await store.lookup(name)).includes(mine.url));
    await store.release(mine);
    await raw("FLUSHALL");
  }
});

test("a key of any kind where another is expected is the store's absence or nothing", async () => {
  await using stack = new AsyncDisposableStack();
  const server = await startRedisServer();
  stack.defer(() => server.close());
  const { raw, close } = await rawRedis(server.url);
  stack.defer(close);
  const store = await connectRedisStore({ ...server, clock: systemClock, logger: silentLogger, deadlineMs: 10_000 });
  stack.defer(() => store.close());
  const { origins, plain, plainMark } = streamKeys(name);
  const kinds = [
    ["SET", "v"],
    ["HSET", "f", "v"],
    ["ZADD", "1", "m"],
    ["RPUSH", "v"],
    ["SADD", "v"],
    ["XADD", "*", "f", "v"],
    ["PFADD", "v"],
  ] as const;
  for (const key of [origins, plain, plainMark, nodeRecordsKey, nodeLeasesKey]) {
    for (const [command, ...rest] of kinds) {
      await raw("FLUSHALL");
      await raw(command, key, ...rest);
      assert.deepEqual(await store.lookup(name), [], `${command} ${key}`);
      assert.deepEqual((await store.snapshot(name)).nodes, []);
      await store.dropNode("n");
      await store.release(mine);
      for (const write of [() => store.claim(mine), () => store.putNode("n", "r")]) {
        await write().catch((thrown: unknown) => assert.ok(thrown instanceof StoreUnavailable));
      }
      assert.deepEqual(await store.lookup(name), [mine.url], `${command} ${key}`);
      assert.deepEqual((await store.snapshot(name)).nodes, ["r"]);
    }
  }
});
