import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { freePort, startRedisServer, startSentinel, type RedisServer } from "../../test/support/redis-server.ts";
import { rawRedis } from "../../test/support/redis-under-test.ts";
import { until } from "../../test/support/until.ts";
import { StoreUnavailable } from "../cluster/store/contract.ts";
import { SettingError } from "../flow/errors.ts";
import { silentLogger } from "../flow/logger.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { systemClock } from "../time/clock.ts";
import { connectRedisStore, type RedisStoreOptions } from "./redis-store.ts";

const name = { vhost: "default", app: "app", stream: "s" };

/** Server and store that go when the test does. */
async function scene(settings: readonly string[] = [], options: Partial<RedisStoreOptions> = {}) {
  const stack = new AsyncDisposableStack();
  const server = await startRedisServer(...settings);
  stack.defer(() => server.close());
  const clock = new ManualClock();
  const store = await connectRedisStore({
    url: server.url,
    clock,
    logger: silentLogger,
    deadlineMs: 1_000,
    random: () => 0,
    ...options,
  });
  stack.defer(() => store.close());
  return { server, clock, store, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Turns the loop, and the clock with it, until `attempt` succeeds. */
async function untilItWorks<T>(clock: ManualClock, attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    const outcome: { isSettled?: true; value?: T } = {};
    void attempt().then(
      (value) => Object.assign(outcome, { isSettled: true, value }),
      () => Object.assign(outcome, { isSettled: true }),
    );
    for (let turns = 1; !outcome.isSettled; turns++) {
      if (turns % 200 === 0) clock.advance(100);
      await turn();
    }
    if ("value" in outcome) return outcome.value;
  }
}

describe("the connection to Redis", () => {
  test("is not needed for a start, and comes when the server does", async () => {
    const port = await freePort();
    const clock = new ManualClock();
    const store = await connectRedisStore({
      url: `redis://127.0.0.1:${port}`,
      clock,
      logger: silentLogger,
      deadlineMs: 1_000,
    });
    const first = store.lookup(name);
    const refused = assert.rejects(first, StoreUnavailable);
    await turn();
    clock.advance(1_000);
    await refused;
    const server = await startServerAt(port);
    try {
      assert.deepEqual(await untilItWorks(clock, () => store.lookup(name)), []);
    } finally {
      await store.close();
      await server.close();
    }
    assert.equal(clock.pendingTimers, 0);
  });

  test("keeps the deadline of every command when the server falls silent, and leaves it", async () => {
    await using it = await scene();
    assert.deepEqual(await it.store.lookup(name), []);
    it.server.pause();
    const pending = Array.from({ length: 50 }, () => it.store.lookup(name));
    let settled = 0;
    const all = Promise.all(
      pending.map((each) =>
        assert.rejects(each, StoreUnavailable).finally(() => {
          settled++;
        }),
      ),
    );
    it.clock.advance(999);
    await turn();
    await turn();
    assert.equal(settled, 0);
    it.clock.advance(1);
    await all;
    it.server.resume();
    assert.deepEqual(await untilItWorks(it.clock, () => it.store.lookup(name)), []);
  });

  test("keeps the deadline when a server accepts and never answers the password", async () => {
    const mute = createServer((socket) => socket.on("error", () => {}).resume()).listen(0, "127.0.0.1");
    await once(mute, "listening");
    const address = mute.address();
    assert.ok(address !== null && typeof address === "object");
    const clock = new ManualClock();
    const store = await connectRedisStore({
      url: `redis://:secret@127.0.0.1:${address.port}`,
      clock,
      logger: silentLogger,
      deadlineMs: 1_000,
    });
    const attempt = assert.rejects(store.putNode("n", "r"), StoreUnavailable);
    await turn();
    clock.advance(1_000);
    await attempt;
    await store.close();
    mute.close();
    await once(mute, "close");
    assert.equal(clock.pendingTimers, 0);
  });

  test("dials a lost server at most about once a second", async () => {
    let dials = 0;
    const closer = createServer((socket) => {
      dials++;
      socket.on("error", () => {});
      socket.destroy();
    }).listen(0, "127.0.0.1");
    await once(closer, "listening");
    const address = closer.address();
    assert.ok(address !== null && typeof address === "object");
    const clock = new ManualClock();
    const store = await connectRedisStore({
      url: `redis://:secret@127.0.0.1:${address.port}`,
      clock,
      logger: silentLogger,
      deadlineMs: 1_000,
      random: () => 0.5,
    });
    const seconds = 60;
    for (let tick = 0; tick < seconds * 4; tick++) {
      void store.lookup(name).catch(() => {});
      for (let turns = 0; turns < 20; turns++) await turn();
      clock.advance(250);
    }
    assert.ok(dials > seconds / 4 && dials <= seconds, `${dials} in ${seconds} s`);
    await store.close();
    closer.close();
    await once(closer, "close");
  });

  test("runs its scripts again after the server forgot them", async () => {
    await using it = await scene();
    await it.store.putNode("n", "r");
    const { raw, close } = await rawRedis(it.server.url);
    await raw("SCRIPT", "FLUSH");
    assert.deepEqual((await it.store.snapshot(name)).nodes, ["r"]);
    await close();
  });

  test("leaves a replica that refuses to write, and finds the way back", async () => {
    await using it = await scene();
    await it.store.putNode("n", "r");
    const { raw, close } = await rawRedis(it.server.url);
    await raw("REPLICAOF", "127.0.0.1", "1");
    await assert.rejects(it.store.putNode("n", "r"), StoreUnavailable);
    await raw("REPLICAOF", "NO", "ONE");
    await untilItWorks(it.clock, () => it.store.putNode("n", "r"));
    await close();
  });

  test("goes on trying with a password that is wrong today", async () => {
    await using it = await scene(["--requirepass", "right"], { password: "wrong" });
    const attempt = assert.rejects(it.store.putNode("n", "r"), StoreUnavailable);
    for (let turns = 0; turns < 100; turns++) await turn();
    it.clock.advance(1_000);
    await attempt;
    const { raw, close } = await rawRedis(it.server.url.replace("//", "//:right@"));
    await raw("CONFIG", "SET", "requirepass", "wrong");
    await untilItWorks(it.clock, () => it.store.putNode("n", "r"));
    await close();
  });

  test("refuses work once it is closed, and may be closed twice", async () => {
    await using it = await scene();
    await it.store.putNode("n", "r");
    const pending = assert.rejects(it.store.lookup(name), StoreUnavailable);
    await Promise.all([it.store.close(), it.store.close()]);
    await pending;
    await assert.rejects(it.store.lookup(name), StoreUnavailable);
    assert.equal(it.clock.pendingTimers, 0);
    await until("no socket is left", 5_000, () => !process.getActiveResourcesInfo().includes("TCPSocketWrap"));
  });

  test("refuses a URL that is none at once", async () => {
    const options = { clock: systemClock, logger: silentLogger, deadlineMs: 1_000 };
    await assert.rejects(connectRedisStore({ ...options, url: "http://h" }), SettingError);
  });
});

test("reaches a server by TLS as a user of its own that may touch nothing but streams and nodes", async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "hearth-tls-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const [key, cert] = [join(directory, "key.pem"), join(directory, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1"];
  const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1"];
  execFileSync("openssl", ["req", ...kind, "-keyout", key, "-out", cert, ...subject], { stdio: "ignore" });
  const tlsPort = await freePort();
  const tls = [
    "--tls-port",
    String(tlsPort),
    "--tls-cert-file",
    cert,
    "--tls-key-file",
    key,
    "--tls-auth-clients",
    "no",
  ];
  const user = ["on", ">p@ss", "~hearth/*", "~app/*", "+eval", "+evalsha", "+@read", "+@write", "+time", "-@dangerous"];
  const server = await startRedisServer(...tls, "--user", "hearth", ...user, "--user", "default", "off");
  stack.defer(() => server.close());
  const ca = await readFile(cert, "utf8");
  const common = { clock: systemClock, logger: silentLogger, deadlineMs: 5_000 };
  const store = await connectRedisStore({ ...common, url: `rediss://hearth:p%40ss@localhost:${tlsPort}`, ca });
  stack.defer(() => store.close());
  assert.equal((await store.claim({ ...name, url: "ovt://a:9000/app/s", owner: "a" })).kind, "owner");
  await store.putNode("n", "r");
  assert.deepEqual((await store.snapshot(name)).origins, ["ovt://a:9000/app/s"]);
  await assert.rejects(store.claim({ ...name, app: "other", url: "ovt://a/o/s", owner: "a" }), StoreUnavailable);
  const untrusting = await connectRedisStore({ ...common, deadlineMs: 1_000, url: `rediss://localhost:${tlsPort}` });
  stack.defer(() => untrusting.close());
  await assert.rejects(untrusting.lookup(name), StoreUnavailable);
});

test("reaches a server by an IPv6 address", async () => {
  await using stack = new AsyncDisposableStack();
  const server = await startRedisServer("--bind", "127.0.0.1", "::1");
  stack.defer(() => server.close());
  const url = `redis://[::1]:${server.port}/2`;
  const store = await connectRedisStore({ url, clock: systemClock, logger: silentLogger, deadlineMs: 5_000 });
  stack.defer(() => store.close());
  await store.putNode("n", "r");
  assert.deepEqual((await store.snapshot(name)).nodes, ["r"]);
});

async function startServerAt(port: number): Promise<RedisServer> {
  return startRedisServer("--port", String(port));
}

test("follows the sentinels to the server that takes over", async () => {
  await using stack = new AsyncDisposableStack();
  const master = await startRedisServer();
  stack.defer(() => master.close());
  const replica = await startRedisServer("--replicaof", "127.0.0.1", String(master.port));
  stack.defer(() => replica.close());
  const sentinel = await startSentinel(master.port, "main");
  stack.defer(() => sentinel.close());
  const [sentinels, ofReplica] = [await rawRedis(`redis://127.0.0.1:${sentinel.port}`), await rawRedis(replica.url)];
  stack.defer(sentinels.close);
  stack.defer(ofReplica.close);
  await until("the sentinel knows the replica", 30_000, async () => {
    const replicas = await sentinels.raw("SENTINEL", "replicas", "main");
    const link = String(await ofReplica.raw("INFO", "replication")).includes("master_link_status:up");
    return link && Array.isArray(replicas) && replicas.length === 1;
  });
  const dead = await freePort();
  const url = `redis-sentinel://127.0.0.1:${dead},127.0.0.1:${sentinel.port}/main`;
  const store = await connectRedisStore({ url, clock: systemClock, logger: silentLogger, deadlineMs: 2_000 });
  stack.defer(() => store.close());
  await store.putNode("before", "r");
  await master.kill();
  await until("the other server takes over", 30_000, async () => {
    await store.putNode("after", "r");
    return true;
  });
  assert.ok((await store.snapshot(name)).nodes.includes("r"));
  assert.match(String(await ofReplica.raw("INFO", "replication")), /role:master/);
});
