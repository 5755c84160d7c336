import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { ManualClock } from "../time/manual-clock.ts";
import * as scripts from "../cluster/store/scripts.ts";
import { rawRedis } from "../../test/support/redis-under-test.ts";
import { startRedisServer } from "../../test/support/redis-server.ts";
import { startEmbeddedRedis } from "./embedded-redis.ts";

/** Each with its own key, so that they may run on one server in a row. */
const commandsInCommon: readonly (readonly string[])[] = [
  ["PING"],
  ["PING", "é"],
  ["ECHO", "x"],
  ["SET", "k", "v"],
  ["GET", "k"],
  ["GET", "none"],
  ["SET", "k", "w", "NX"],
  ["SET", "k", "w", "XX", "EX", "100"],
  ["SET", "k", "w", "NX", "XX"],
  ["SET", "k", "w", "EX", "0"],
  ["SET", "k", "w", "EX", "x"],
  ["SET", "k", "w", "EX"],
  ["SET", "new", "w", "XX"],
  ["TTL", "k"],
  ["TTL", "none"],
  ["PTTL", "none"],
  ["MGET", "k", "none", "h"],
  ["EXISTS", "k", "none", "k"],
  ["TYPE", "k"],
  ["TYPE", "none"],
  ["HSET", "h", "f", "v", "g", "w"],
  ["HSET", "h", "f", "x"],
  ["HGET", "h", "f"],
  ["HGET", "h", "none"],
  ["HGETALL", "h"],
  ["HLEN", "h"],
  ["HDEL", "h", "f", "none"],
  ["HDEL", "h", "g"],
  ["EXISTS", "h"],
  ["HSET", "h", "f"],
  ["HGET", "k", "f"],
  ["ZADD", "z", "1.5", "m"],
  ["ZADD", "z", "2", "m"],
  ["ZSCORE", "z", "m"],
  ["ZSCORE", "z", "none"],
  ["ZCARD", "z"],
  ["ZADD", "z", "x", "m"],
  ["GET", "z"],
  ["TYPE", "z"],
  ["RENAME", "none", "z"],
  ["RENAME", "z", "y"],
  ["TYPE", "z"],
  ["RENAME", "y", "z"],
  ["ZSCORE", "z", "m"],
  ["PEXPIRE", "z", "1000000"],
  ["TTL", "z"],
  ["EXPIRE", "none", "10"],
  ["DEL", "k", "z", "none"],
  ["DBSIZE"],
  ["NOPE"],
  ["GET"],
  ["GET", "a", "b"],
  ["SELECT", "0"],
  ["SELECT", "99"],
  ["EVALSHA", "0".repeat(40), "0"],
  ["SCRIPT", "EXISTS", "0".repeat(40)],
  ["SCRIPT", "LOAD", scripts.claimScript],
  ["MULTI"],
  ["MULTI"],
  ["SET", "t", "1"],
  ["GET", "t"],
  ["HGET", "t", "f"],
  ["EXEC"],
  ["EXEC"],
  ["MULTI"],
  ["NOPE"],
  ["EXEC"],
  ["MULTI"],
  ["DISCARD"],
  ["DISCARD"],
  ["FLUSHALL"],
];

describe("the embedded store", () => {
  test("answers each command as redis-server does", async () => {
    await using stack = new AsyncDisposableStack();
    const server = await startRedisServer();
    stack.defer(() => server.close());
    const embedded = await startEmbeddedRedis();
    stack.defer(() => embedded.close());
    const [theirs, ours] = [await session(server.port), await session(embedded.port)];
    stack.defer(() => [theirs, ours].forEach(({ close }) => close()));
    for (const command of commandsInCommon) {
      const expected = generalize(await theirs.ask(command));
      assert.equal(generalize(await ours.ask(command)), expected, command.join(" ").slice(0, 80));
    }
  });

  test("forgets keys when their time is up", async () => {
    const clock = new ManualClock();
    await using stack = new AsyncDisposableStack();
    const embedded = await startEmbeddedRedis({ clock });
    stack.defer(() => embedded.close());
    const { raw, close } = await rawRedis(embedded.url);
    stack.defer(close);
    await raw("SET", "k", "v", "EX", "10");
    clock.advance(9_999);
    assert.equal(await raw("GET", "k"), "v");
    assert.equal(await raw("PTTL", "k"), 1);
    clock.advance(1);
    assert.equal(await raw("GET", "k"), null);
    assert.equal(await raw("DBSIZE"), 0);
    assert.deepEqual(await raw("TIME"), [String(clock.wallMs() / 1_000), "0"]);
  });

  test("wants its password, if it has one", async () => {
    await using stack = new AsyncDisposableStack();
    const embedded = await startEmbeddedRedis({ password: "sécret" });
    stack.defer(() => embedded.close());
    const { ask, close } = await session(embedded.port);
    stack.defer(close);
    assert.match(await ask(["GET", "k"]), /^-NOAUTH/);
    assert.match(await ask(["MULTI"]), /^-NOAUTH/);
    assert.match(await ask(["AUTH", "wrong"]), /^-WRONGPASS/);
    assert.match(await ask(["AUTH", "somebody", "sécret"]), /^-WRONGPASS/);
    assert.equal(await ask(["AUTH", "default", "sécret"]), "+OK\r\n");
    assert.equal(await ask(["GET", "k"]), "$-1\r\n");
  });

  test("runs no scripts but our own, and those with their keys and arguments only", async () => {
    await using stack = new AsyncDisposableStack();
    const embedded = await startEmbeddedRedis();
    stack.defer(() => embedded.close());
    const { ask, close } = await session(embedded.port);
    stack.defer(close);
    assert.match(await ask(["EVAL", "return 1", "0"]), /^-ERR the embedded store runs no scripts/);
    assert.match(await ask(["SCRIPT", "LOAD", "return 1"]), /^-ERR the embedded store runs no scripts/);
    assert.match(await ask(["EVAL", scripts.claimScript, "0"]), /^-ERR wrong number of keys/);
    assert.match(await ask(["EVAL", scripts.claimScript, "9", "k"]), /^-ERR Number of keys/);
    assert.match(await ask(["EVAL", scripts.lookupScript, "1", "k", "v", "more"]), /^-ERR wrong number of keys/);
    for (const [name, text] of Object.entries(scripts)) {
      if (typeof text !== "string") continue;
      // What is compared are bytes as latin1 characters.
      assert.equal(Buffer.byteLength(text), text.length, name);
    }
  });

  test("bounds keys, members and connections, and cuts off who breaks the protocol", async () => {
    await using stack = new AsyncDisposableStack();
    const embedded = await startEmbeddedRedis({ maxKeys: 2, maxConnections: 2 });
    stack.defer(() => embedded.close());
    const first = await session(embedded.port);
    stack.defer(first.close);
    await first.ask(["SET", "a", "1"]);
    await first.ask(["SET", "b", "1"]);
    assert.match(await first.ask(["SET", "c", "1"]), /^-OOM/);
    assert.match(await first.ask(["HSET", "c", "f", "1"]), /^-OOM/);
    assert.equal(await first.ask(["SET", "a", "2"]), "+OK\r\n");
    const second = connect(embedded.port, "127.0.0.1");
    stack.defer(() => void second.destroy());
    await once(second, "connect");
    const third = connect(embedded.port, "127.0.0.1");
    stack.defer(() => void third.destroy());
    await once(third.resume(), "close");
    second.write("*1\r\n$999999999\r\n");
    let said = "";
    second.on("data", (bytes) => (said += bytes.toString()));
    await once(second, "close");
    assert.match(said, /^-ERR Protocol error/);
    assert.equal(await first.ask(["PING"]), "+PONG\r\n");
  });

  test("cuts off a client that asks for more than it reads", async () => {
    await using stack = new AsyncDisposableStack();
    const embedded = await startEmbeddedRedis();
    stack.defer(() => embedded.close());
    const { ask, close } = await session(embedded.port);
    stack.defer(close);
    await ask(["SET", "k", "x".repeat(100_000)]);
    const deaf = connect(embedded.port, "127.0.0.1");
    stack.defer(() => void deaf.destroy());
    await once(deaf, "connect");
    deaf.on("error", () => {});
    deaf.write("GET k\r\n".repeat(1_000));
    await once(deaf, "close");
    assert.equal(await ask(["PING"]), "+PONG\r\n");
  });

  test("refuses a port in use", async () => {
    const embedded = await startEmbeddedRedis();
    await assert.rejects(startEmbeddedRedis({ port: embedded.port }), /EADDRINUSE/);
    await Promise.all([embedded.close(), embedded.close()]);
  });
});

/** A connection that shows replies as they came. */
async function session(port: number): Promise<{
  readonly ask: (command: readonly string[]) => Promise<string>;
  readonly close: () => void;
}> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  return {
    close: () => void socket.destroy(),
    async ask(command: readonly string[]): Promise<string> {
      const words = command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
      socket.write(`*${words.length}\r\n${words.join("")}`);
      let reply = "";
      // Small replies on loopback: what ends a line and holds what it announces is whole.
      do reply += String((await once(socket, "data"))[0]);
      while (!reply.endsWith("\r\n"));
      return reply;
    },
  };
}

/** Servers word their errors differently from version to version; the code in front is what clients go by. */
function generalize(reply: string): string {
  return reply.replace(/^-(\w+) .*$/gm, "-$1").replace(/^:99\d{4,5}\r$/gm, ":about-a-million\r");
}
