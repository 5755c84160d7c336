import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Redis } from "@upstash/redis";
import { lookupCall, putNodeCall, snapshotCall } from "../cluster/store/script-calls.ts";
import { parseSnapshot } from "../cluster/store/script-replies.ts";
import { startRedisServer, type RedisServer } from "../../test/support/redis-server.ts";
import { upstashClient } from "../../test/support/upstash-under-test.ts";
import { startBridge, type Bridge } from "./bridge.ts";

describe("the bridge", () => {
  let server: RedisServer;
  let bridge: Bridge;
  let client: Redis;
  const name = { vhost: "default", app: "app", stream: "s" };

  before(async () => {
    server = await startRedisServer();
    bridge = await startBridge({ port: 0, redisUrl: server.url, token: "secret", readOnlyToken: "reader" });
    client = upstashClient(bridge.url, "secret");
  });
  after(async () => {
    await bridge?.close();
    await server?.close();
  });

  const post = async (path: string, body: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${bridge.url}${path}`, {
      method: "POST",
      body,
      headers: { authorization: "Bearer secret", ...headers },
    });
    return { status: response.status, body: await response.json(), headers: response.headers };
  };

  test("answers plain JSON to a command, a pipeline and a transaction", async () => {
    assert.deepEqual((await post("/", '["SET","k","é",  "EX",100]')).body, { result: "OK" });
    assert.deepEqual((await post("/", '["GET","k"]')).body, { result: "é" });
    assert.deepEqual((await post("/", '["GET","none"]')).body, { result: null });
    assert.deepEqual((await post("/pipeline", '[["INCR","n"],["GET","k"],["NOPE"],["INCR","k"]]')).body, [
      { result: 1 },
      { result: "é" },
      { error: "ERR Command is not available: 'NOPE'" },
      { error: "ERR value is not an integer or out of range" },
    ]);
    assert.deepEqual((await post("/multi-exec", '[["INCR","n"],["INCR","k"],["GET","k"]]')).body, [
      { result: 2 },
      { error: "ERR value is not an integer or out of range" },
      { result: "é" },
    ]);
    assert.deepEqual(await post("/multi-exec", '[["INCR","n"],["GET"]]').then(({ status }) => status), 400);
    assert.deepEqual((await post("/", '["GET","n"]')).body, { result: "2" }, "nothing of a broken transaction ran");
  });

  test("encodes every string but OK when asked to", async () => {
    const base64 = { "upstash-encoding": "base64" };
    const encoded = (text: string): string => Buffer.from(text).toString("base64");
    assert.deepEqual((await post("/", '["SET","k","OK"]', base64)).body, { result: "OK" });
    assert.deepEqual((await post("/", '["GET","k"]', base64)).body, { result: encoded("OK") });
    assert.deepEqual((await post("/", '["PING"]', base64)).body, { result: encoded("PONG") });
    await post("/", '["HSET","h","f","é"]');
    assert.deepEqual((await post("/", '["HGETALL","h"]', base64)).body, { result: [encoded("f"), encoded("é")] });
    assert.deepEqual((await post("/", '["TTL","k"]', base64)).body, { result: -1 });
  });

  test("serves the real client: strings, hashes, sorted sets, pipelines, transactions, scripts", async () => {
    assert.equal(await client.set("c", "Grüße 💡", { ex: 100 }), "OK");
    assert.equal(await client.get("c"), "Grüße 💡");
    assert.equal(await client.set("c", "x", { nx: true }), null);
    assert.deepEqual(await client.mget("c", "none"), ["Grüße 💡", null]);
    await client.hset("hash", { a: "one", b: "two" });
    const asShipped = new Redis({ url: bridge.url, token: "secret", enableTelemetry: false });
    assert.deepEqual(await asShipped.hgetall("hash"), { a: "one", b: "two" });
    await client.zadd("z", { score: 1, member: "one" }, { score: 2, member: "two" });
    assert.deepEqual(await client.zrange("z", 0, -1), ["one", "two"]);
    assert.deepEqual(await client.pipeline().incr("p").incr("p").exec(), [1, 2]);
    assert.deepEqual(await client.multi().incr("p").get("p").exec(), [3, "3"]);
    assert.deepEqual(await client.eval("return {KEYS[1], 1, false}", ["k"], []), ["k", 1, null]);
    assert.equal(await client.ping(), "PONG");
    await assert.rejects(client.incr("c"), /ERR value is not an integer/);
  });

  test("lets a reader read, by our scripts too, and nothing else", async () => {
    const reader = upstashClient(bridge.url, "reader");
    const run = ({ script, keys, args }: ReturnType<typeof lookupCall>, as: Redis) =>
      as.eval(script, [...keys], [...args]);
    await run(putNodeCall("n", "record"), client);
    assert.deepEqual(parseSnapshot(await run(snapshotCall(name), reader)).nodes, ["record"]);
    const { script, keys, args } = lookupCall(name);
    assert.deepEqual(await reader.evalRo(script, [...keys], [...args]), [], "on a Redis without EVAL_RO as well");
    assert.equal(await reader.get("none"), null);
    for (const attempt of [
      () => reader.set("k", "v"),
      () => reader.eval("return redis.call('DEL', KEYS[1])", ["k"], []),
      () => reader.evalRo("return 1", [], []),
      () => reader.publish("c", "m"),
      () => reader.flushall(),
      () => run(putNodeCall("n", "forged"), reader),
    ]) {
      await assert.rejects(attempt, /NOPERM/);
    }
    await assert.rejects(reader.multi().get("k").set("k", "v").exec(), /NOPERM/);
  });

  test("refuses what would change or block the connection that all share", async () => {
    for (const command of ["SELECT", "MULTI", "WATCH", "CLIENT", "SUBSCRIBE", "MONITOR", "BLPOP", "CONFIG", "AUTH"]) {
      const { status, body } = await post("/", JSON.stringify([command, "1"]));
      assert.deepEqual([status, body], [400, { error: `ERR Command is not available: '${command}'` }]);
    }
    assert.equal((await post("/", '["SCRIPT","KILL"]')).status, 400);
  });

  test("answers in the client's terms to what it cannot serve", async () => {
    assert.equal((await post("/", "[", {})).status, 400);
    for (const body of ["{}", "[]", '"x"', "[[]]", '[{"a":1}]', "[null]"]) {
      assert.equal((await post("/", body)).status, 400, body);
    }
    for (const body of [
      "[]",
      "[1]",
      '[["GET","k"],[]]',
      JSON.stringify(Array.from({ length: 1_001 }, () => ["PING"])),
    ]) {
      assert.equal((await post("/pipeline", body)).status, 400, body.slice(0, 50));
    }
    assert.deepEqual((await post("/nowhere", "[]")).status, 404);
    assert.equal((await fetch(bridge.url, { headers: { authorization: "Bearer secret" } })).status, 405);
    for (const authorization of ["", "Bearer", "Bearer wrong", "Basic secret", "Bearer secret x"]) {
      const { status, body } = await post("/", '["PING"]', { authorization });
      assert.deepEqual([status, body], [401, { error: "Unauthorized" }], authorization);
    }
    const long = JSON.stringify(["SET", "k", "x".repeat(1_048_577)]);
    assert.equal((await post("/", long)).status, 413);
  });

  test("answers 503 while Redis is away, and serves again when it is back", async () => {
    await server.kill();
    const first = await post("/", '["PING"]');
    assert.deepEqual([first.status, first.body], [503, { error: "ERR the store is not available" }]);
    assert.equal(first.headers.get("retry-after"), "1");
    await server.start();
    for (;;) if ((await post("/", '["PING"]')).status === 200) break;
  });
});

test("refuses to start without a token or with a URL that is none", async () => {
  await assert.rejects(startBridge({ port: 0, redisUrl: "redis://127.0.0.1:1", token: "" }), RangeError);
  await assert.rejects(startBridge({ port: 0, redisUrl: "http://x", token: "t" }), /redis:\/\/host:port/);
});
