// docs/failover.md, row by row, on real sockets. Time-outs are shortened by configuration.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import {
  holdOf,
  openBareEdge,
  openFailoverWorld,
  startClipOrigin,
  WatchingViewer,
  type FailoverOptions,
  type FailoverWorld,
} from "../support/failover-world.ts";
import { failoverRows, failoverTable } from "../support/failover-rows.ts";
import { TcpFaultProxy } from "../support/tcp-fault-proxy.ts";
import { until } from "../support/until.ts";

const tested = new Set<string>();

function row(key: keyof typeof failoverRows, check: () => Promise<void>): void {
  tested.add(key);
  const { event, rule, hearth } = failoverRows[key];
  test(`${event} (${rule}): ${hearth}`, { timeout: 60_000 }, check);
}

/** A port where nobody listens. */
async function deadEnd(): Promise<TcpFaultProxy> {
  const proxy = await TcpFaultProxy.open();
  await proxy.down();
  return proxy;
}

const ovt = ({ port }: { readonly port: number }, stream = "stream"): string => `ovt://127.0.0.1:${port}/app/${stream}`;

/** A path that accepts and then does as told, and how an edge with that as its only URL fares. */
async function firstRequest(mode: "hang-up" | "drop", scheme: "ovt" | "rtsp", viewers = 1) {
  await using path = await TcpFaultProxy.open();
  path.set(mode);
  await using edge = openBareEdge([ovt(path).replace("ovt", scheme)]);
  const results = await Promise.all(Array.from({ length: viewers }, async () => ({ result: await edge.ask() })));
  return { results, connects: path.connects.slice() };
}

describe("the first request", { concurrency: 4 }, () => {
  row("refused", async () => {
    const path = await deadEnd();
    await using edge = openBareEdge([ovt(path)]);
    const startMs = performance.now();
    assert.equal((await edge.ask()).kind, "unavailable");
    assert.ok(performance.now() - startMs >= 990);
    assert.equal(edge.hub.counters.tries.failed, 2);
    const origin = await startClipOrigin();
    await using live = await TcpFaultProxy.open(origin.ovtPort);
    await live.down();
    await using second = openBareEdge([ovt(live)], { attemptTimeoutMs: 6_000 });
    const asked = second.ask();
    await until("it is refused", 2_000, () => second.hub.counters.tries.failed === 1);
    await live.up();
    holdOf(await asked).release();
    await second.hub.close({ code: "done" });
    await origin.close({ code: "done" });
  });

  row("hungUp", async () => {
    const { results, connects } = await firstRequest("hang-up", "ovt");
    assert.equal(results[0]!.result.kind, "unavailable");
    assert.equal(connects.length, 2);
    assert.ok(connects[1]! - connects[0]! >= 900);
  });

  row("refusedTwice", async () => {
    const [first, second] = [await TcpFaultProxy.open(), await TcpFaultProxy.open()];
    first.set("hang-up");
    second.set("hang-up");
    await using edge = openBareEdge([ovt(first), ovt(second)]);
    assert.equal((await edge.ask()).kind, "unavailable");
    assert.deepEqual([first.connects.length, second.connects.length], [2, 1]);
    assert.ok(second.connects[0]! > first.connects[0]! && second.connects[0]! < first.connects[1]!);
    await first[Symbol.asyncDispose]();
    await second[Symbol.asyncDispose]();
  });

  row("unknown", async () => {
    const origin = await startClipOrigin();
    await using path = await TcpFaultProxy.open(origin.ovtPort);
    await using edge = openBareEdge([ovt(path, "nobody")], { attemptTimeoutMs: 6_000 });
    for (let request = 0; request < 10; request++) assert.equal((await edge.ask()).kind, "not-found");
    assert.equal(path.connects.length, 1);
    await origin.close({ code: "done" });
  });

  row("silent", async () => {
    const { results, connects } = await firstRequest("drop", "ovt");
    assert.equal(results[0]!.result.kind, "unavailable");
    assert.equal(connects.length, 2);
  });

  row("silentFour", async () => {
    const { results, connects } = await firstRequest("drop", "ovt", 4);
    assert.ok(results.every(({ result }) => result.kind === "unavailable"));
    assert.equal(connects.length, 2);
  });

  row("silentFirst", async () => {
    const origin = await startClipOrigin();
    await using silent = await TcpFaultProxy.open();
    silent.set("drop");
    await using edge = openBareEdge([ovt(silent), ovt({ port: origin.ovtPort! })], { attemptTimeoutMs: 1_500 });
    holdOf(await edge.ask());
    assert.equal(silent.connects.length, 1);
    await edge.hub.close({ code: "done" });
    await origin.close({ code: "done" });
  });

  row("rtspSilent", async () => {
    const { results, connects } = await firstRequest("drop", "rtsp");
    assert.equal(results[0]!.result.kind, "unavailable");
    assert.equal(connects.length, 2);
  });
});

/** A world with a viewer who sees frames. */
async function watched(options: FailoverOptions = {}): Promise<{ world: FailoverWorld; viewer: WatchingViewer }> {
  const world = await openFailoverWorld(options);
  const viewer = new WatchingViewer(holdOf(await world.watch()).stream);
  await until("frames come", 10_000, () => viewer.frames.length > 5);
  return { world, viewer };
}

const again = (viewer: WatchingViewer, sinceMs: number, withinMs = 10_000): Promise<unknown> =>
  until("frames come again", withinMs, () => viewer.frames.filter(({ atMs }) => atMs > sinceMs).length > 5);

/** The first path fails somehow: the second serves, and the viewer saw no more than a pause. */
async function failsOver(fail: (world: FailoverWorld) => unknown, options: FailoverOptions = {}): Promise<void> {
  const { world, viewer } = await watched(options);
  await using _ = world;
  const atMs = performance.now();
  await fail(world);
  await again(viewer, atMs + 700);
  await until("the second serves", 5_000, () => world.second.openCount === 1);
  assert.deepEqual([viewer.ends, viewer.backward, viewer.discontinuities, viewer.missing()], [[], 0, 0, 0]);
  assert.equal(world.edge.hub.counters.failovers, 1);
}

const patience = "<NoInputFailoverTimeout>600</NoInputFailoverTimeout>";

describe("a stream that plays", { concurrency: 3 }, () => {
  row("killed", async () => {
    const { world, viewer } = await watched({ urls: 1 });
    await using _ = world;
    await world.first.down();
    await until("three tries", 10_000, () => world.edge.hub.counters.tries.failed >= 3);
    assert.deepEqual(viewer.ends, []);
    await world.first.up();
    await again(viewer, performance.now());
    assert.deepEqual([viewer.ends, viewer.backward], [[], 0]);
  });

  row("killedOfTwo", () => failsOver((world) => world.first.down()));

  row("killedAndBack", async () => {
    const { world, viewer } = await watched({ urls: 1, properties: "<RetryCount>100</RetryCount>" });
    await using _ = world;
    await world.first.down();
    await until("two tries", 10_000, () => world.edge.hub.counters.tries.failed >= 2);
    await world.first.up();
    await again(viewer, performance.now());
    assert.deepEqual([viewer.ends, viewer.backward, viewer.discontinuities], [[], 0, 0]);
    assert.equal(world.edge.hub.counters.resumptions, 1);
  });

  row("noRetries", async () => {
    const { world, viewer } = await watched({ urls: 1, properties: "<RetryCount>0</RetryCount>" });
    await using _ = world;
    await world.first.down();
    await until("the stream ends", 2_000, () => viewer.ends[0] === "source-lost");
    assert.equal(world.edge.hub.counters.tries.failed, 0);
  });

  row("gone", async () => {
    const { world, viewer } = await watched({ urls: 1, hearth: "<GraceTimeout>1500</GraceTimeout>" });
    await using _ = world;
    const atMs = performance.now();
    await world.first.down();
    await until("the stream ends", 8_000, () => viewer.ends[0] === "source-lost");
    assert.ok(performance.now() - atMs >= 1_500);
    await world.first.up();
    holdOf(
      await until("it is pulled anew", 5_000, async () => {
        const result = await world.watch();
        return result.kind === "stream" ? result : undefined;
      }),
    );
  });

  row("closed", () => failsOver((world) => world.first.cut()));
  row("reset", () => failsOver((world) => world.first.reset()));

  row("frozen", async () => {
    const { world, viewer } = await watched({ urls: 1, properties: patience });
    await using _ = world;
    world.first.set("freeze");
    await until("it is left", 5_000, () => world.edge.hub.counters.losses.silent === 1);
    await until("it is asked again", 8_000, () => world.first.connects.length >= 2);
    world.first.set("pass");
    await again(viewer, performance.now());
    assert.deepEqual([viewer.ends, viewer.backward, viewer.discontinuities], [[], 0, 0]);
  });

  row("frozenOfTwo", () => failsOver((world) => world.first.set("freeze"), { properties: patience }));
  row("frozenPersistent", () => {
    const options = { properties: patience, rule: "<Persistent>true</Persistent>" };
    return failsOver((world) => world.first.set("freeze"), options);
  });
  row("dropped", () => failsOver((world) => world.first.set("drop"), { properties: patience }));
  row("trickled", () => failsOver((world) => world.first.set("trickle"), { properties: patience }));

  row("delayed", async () => {
    const { world, viewer } = await watched();
    await using _ = world;
    world.first.set("pass", 200);
    await again(viewer, performance.now() + 500);
    assert.deepEqual([viewer.missing(), viewer.backward, world.edge.hub.counters.losses.silent], [0, 0, 0]);
  });

  row("failback", async () => {
    const properties = "<StreamFailbackTimeout>300</StreamFailbackTimeout>";
    const { world, viewer } = await watched({ properties, rule: "<Failback>true</Failback>" });
    await using _ = world;
    await world.first.down();
    await until("the second serves", 5_000, () => world.second.openCount === 1);
    await world.first.up();
    const isReturned = (): boolean => world.first.openCount === 1 && world.second.openCount === 0;
    await until("the first serves", 15_000, isReturned);
    await again(viewer, performance.now());
    assert.deepEqual([viewer.missing(), viewer.backward, viewer.discontinuities], [0, 0, 0]);
    assert.equal(world.edge.hub.counters.failbacks, 1);
  });

  row("unused", async () => {
    await using world = await openFailoverWorld({
      properties:
        "<UnusedStreamDeletionTimeout>400</UnusedStreamDeletionTimeout><NoInputFailoverTimeout>60000</NoInputFailoverTimeout>",
    });
    const hold = holdOf(await world.watch());
    world.first.set("freeze");
    const atMs = performance.now();
    await until("time passes", 2_000, () => performance.now() - atMs > 900);
    assert.equal(world.edge.hub.list().length, 1, "a silent stream that is watched stays");
    hold.release();
    await until("it is let go", 3_000, () => world.edge.hub.list().length === 0);
  });
});

test("docs/failover.md has these rows, and each is tested", () => {
  const text = readFileSync(new URL("../../docs/failover.md", import.meta.url), "utf8");
  assert.ok(text.includes(failoverTable()), "print them anew: node test/support/failover-rows.ts");
  assert.deepEqual([...tested].sort(), Object.keys(failoverRows).sort());
});
