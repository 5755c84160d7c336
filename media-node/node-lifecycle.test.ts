import assert from "node:assert/strict";
import { test } from "node:test";
import { settle, TestHub } from "../test/support/webrtc-room.ts";
import { silentLogger } from "./flow/logger.ts";
import { NodeLifecycle } from "./node-lifecycle.ts";

const name = { vhost: "default", app: "app", stream: "live" };

function node({
  isRouted = true,
  areOthersReady = true,
  isOrigin = false,
  takenAfterMs = Infinity,
  drainTimeoutMs = 30_000,
} = {}) {
  const room = new TestHub();
  const { clock } = room;
  const said: string[] = [];
  let returning = 0;
  const ready = Promise.withResolvers<void>();
  if (areOthersReady) ready.resolve();
  const lifecycle = new NodeLifecycle({ clock, logger: silentLogger, drainTimeoutMs });
  const serve = (): void =>
    lifecycle.serve({
      viewers: () => returning + people(room),
      isRouted,
      announce: () => void said.push("announce"),
      redirect: () => void said.push("redirect"),
      othersReady: () => ready.promise,
      tellViewers: (withinMs) => void said.push(`tell viewers within ${withinMs} ms`),
      giveUpStreams: async () => {
        if (!isOrigin) return undefined;
        said.push("give up streams");
        const sinceMs = clock.nowMs();
        return async () => clock.nowMs() - sinceMs >= takenAfterMs;
      },
    });
  const setReturning = (count: number): void => void (returning = count);
  return { room, clock, lifecycle, said, serve, setReturning, othersAreReady: () => ready.resolve() };
}

const people = ({ hub }: TestHub): number =>
  hub.list().reduce((sum, { viewers }) => sum + (viewers["llhls"] ?? 0) + (viewers["whep"] ?? 0), 0);

async function outcomeNow(promise: Promise<string>): Promise<string | undefined> {
  let outcome: string | undefined;
  void promise.then((value) => (outcome = value));
  await settle();
  return outcome;
}

test("serves between starting and draining; one that closes first tells who waits for its drain", async () => {
  const { clock, lifecycle, serve } = node();
  assert.equal(lifecycle.state, "starting");
  serve();
  assert.equal(lifecycle.state, "serving");
  const before = clock.pendingTimers;
  const drained = lifecycle.drain();
  assert.equal(lifecycle.state, "draining");
  lifecycle.stop();
  assert.equal(await outcomeNow(drained), "closed");
  assert.equal(clock.pendingTimers, before);
});

test("tells the router at once, and the viewers when no router can send more of them", async () => {
  const { lifecycle, serve, clock, said } = node();
  serve();
  const drained = lifecycle.drain();
  assert.deepEqual(said, ["announce", "redirect"]);
  clock.advance(2_400);
  assert.deepEqual(said, ["announce", "redirect"]);
  clock.advance(200);
  await settle();
  assert.deepEqual(said, ["announce", "redirect", "tell viewers within 9000 ms"]);
  clock.advance(100);
  assert.equal(await outcomeNow(drained), "everybody-moved");
});

test("viewers are told when other nodes are ready for them, and not much later when they are not", async () => {
  const quick = node({ areOthersReady: false });
  quick.serve();
  void quick.lifecycle.drain();
  quick.clock.advance(4_000);
  await settle();
  assert.deepEqual(quick.said, ["announce", "redirect"]);
  quick.othersAreReady();
  await settle();
  assert.deepEqual(quick.said, ["announce", "redirect", "tell viewers within 9000 ms"]);
  quick.clock.advance(3_000);
  assert.deepEqual(quick.said, ["announce", "redirect", "tell viewers within 9000 ms"], "once");

  const slow = node({ areOthersReady: false });
  slow.serve();
  const drained = slow.lifecycle.drain();
  slow.clock.advance(8_400);
  assert.deepEqual(slow.said, ["announce", "redirect"]);
  slow.clock.advance(200);
  assert.deepEqual(slow.said, ["announce", "redirect", "tell viewers within 9000 ms"]);
  assert.equal(await outcomeNow(drained), "everybody-moved");
});

test("a node that no router knows tells its viewers at once", async () => {
  const { lifecycle, serve, clock, said } = node({ isRouted: false });
  serve();
  void lifecycle.drain();
  clock.advance(0);
  await settle();
  assert.deepEqual(said, ["announce", "redirect", "tell viewers within 9000 ms"]);
  lifecycle.stop();
});

test("waits for viewers who hold a stream, and for those who were sent on and may come back", async () => {
  const { lifecycle, serve, clock, room, setReturning } = node();
  serve();
  const result = await room.hub.acquire(name, { protocol: "whep" });
  assert.equal(result.kind, "stream");
  const drained = lifecycle.drain();
  clock.advance(10_000);
  assert.equal(await outcomeNow(drained), undefined);
  setReturning(1);
  if (result.kind === "stream") result.hold.release();
  clock.advance(4_000);
  assert.equal(await outcomeNow(drained), undefined);
  setReturning(0);
  clock.advance(100);
  assert.equal(await outcomeNow(drained), "everybody-moved");
});

test("an origin gives its streams up when its viewers are gone, and ends pulls when one that stood by has had its time", async () => {
  const { lifecycle, serve, clock, room, said } = node({ isOrigin: true });
  serve();
  const result = await room.hub.acquire(name, { protocol: "whep" });
  const drained = lifecycle.drain();
  clock.advance(10_000);
  await settle();
  assert.ok(!said.includes("give up streams"));
  if (result.kind === "stream") result.hold.release();
  clock.advance(100);
  await settle();
  assert.equal(said.at(-1), "give up streams");
  clock.advance(4_900);
  assert.equal(await outcomeNow(drained), undefined);
  clock.advance(200);
  assert.equal(await outcomeNow(drained), "everybody-moved");
});

test("an origin ends pulls as soon as another one has its streams", async () => {
  const { lifecycle, serve, clock, said } = node({ isOrigin: true, takenAfterMs: 1_000 });
  serve();
  const drained = lifecycle.drain();
  clock.advance(2_600);
  await settle();
  clock.advance(100);
  await settle();
  assert.equal(said.at(-1), "give up streams");
  clock.advance(800);
  assert.equal(await outcomeNow(drained), undefined);
  for (let i = 0; i < 3; i++) {
    clock.advance(250);
    await settle();
  }
  assert.equal(await outcomeNow(drained), "everybody-moved");
});

test("an origin whose viewers stay gives its streams up in time", async () => {
  const { lifecycle, serve, clock, room, said } = node({ isOrigin: true, drainTimeoutMs: 8_000 });
  serve();
  await room.hub.acquire(name, { protocol: "llhls" });
  const drained = lifecycle.drain();
  clock.advance(5_000);
  await settle();
  assert.equal(said.at(-1), "give up streams");
  assert.equal(await outcomeNow(drained), undefined);
  clock.advance(3_100);
  assert.equal(await outcomeNow(drained), "out-of-time");
});

test("goes when the time is up, whoever is left; other nodes' pulls are nobody to wait for", async () => {
  const { lifecycle, serve, clock, room } = node({ drainTimeoutMs: 8_000 });
  serve();
  await room.hub.acquire(name, { protocol: "llhls" });
  const drained = lifecycle.drain();
  assert.equal(lifecycle.drainLeftMs, 8_000);
  clock.advance(7_900);
  assert.equal(await outcomeNow(drained), undefined);
  clock.advance(200);
  assert.equal(await outcomeNow(drained), "out-of-time");

  const origin = node();
  origin.serve();
  await origin.room.hub.acquire(name, { protocol: "ovt" });
  const gone = origin.lifecycle.drain();
  origin.clock.advance(2_600);
  await settle();
  origin.clock.advance(100);
  assert.equal(await outcomeNow(gone), "everybody-moved");
});
