import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeSource, describedAs, frame, settle } from "../../test/support/fake-source.ts";
import { silentLogger } from "../flow/logger.ts";
import { ManualClock } from "../time/manual-clock.ts";
import type { PullPlan } from "./pull-plan.ts";
import { NoSuchStream, type OpenSource } from "./source.ts";
import { StreamHub, type AcquireResult, type PlanPull, type StreamHold } from "./stream-hub.ts";

const name = { vhost: "default", app: "app", stream: "stream" };
const watch = { protocol: "webrtc" } as const;
const basePlan: PullPlan = {
  urls: ["fake://a/app/stream"],
  from: "rule",
  noInputTimeoutMs: 3_000,
  unusedTimeoutMs: 10_000,
  graceMs: 30_000,
  isPersistent: false,
};

/** A hub whose only scheme is `fake`; `open` decides what each attempt gives. */
function hubWith(open: (url: string, attempt: number) => FakeSource | Error, plan: Partial<PullPlan> = {}) {
  const clock = new ManualClock();
  const opened: { url: string; source: FakeSource | Error }[] = [];
  const opener: OpenSource = async (url) => {
    const source = open(url, opened.length);
    opened.push({ url, source });
    if (source instanceof Error) throw source;
    return source;
  };
  let plans = 0;
  const planPull: PlanPull = async () => {
    plans++;
    return { ...basePlan, ...plan };
  };
  const hub = new StreamHub({
    clock,
    logger: silentLogger,
    nodeId: "me",
    plan: planPull,
    openers: new Map([["fake", opener]]),
  });
  return { hub, clock, opened, plans: () => plans };
}

function held(result: AcquireResult): StreamHold {
  if (result.kind !== "stream") assert.fail(result.reason);
  return result.hold;
}

/** What comes of `promise` while time passes. */
async function inTime<T>(clock: ManualClock, promise: Promise<T>): Promise<T> {
  const state = { isSettled: false };
  const settled = promise.finally(() => (state.isSettled = true));
  while (!state.isSettled) await advance(clock, 50);
  return settled;
}

async function advance(clock: ManualClock, ms: number, stepMs = 50): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    clock.advance(stepMs);
    await settle();
  }
}

test("however many ask at once, a stream is pulled once", async () => {
  const { hub, opened } = hubWith(() => new FakeSource());
  const holds = (await Promise.all(Array.from({ length: 50 }, () => hub.acquire(name, watch)))).map(held);
  assert.equal(opened.length, 1);
  assert.equal(new Set(holds.map(({ stream }) => stream)).size, 1);
  assert.deepEqual(hub.list()[0]!.viewers, { webrtc: 50 });
  await hub.close({ code: "done" });
});

test("lets go of the source when nobody has held the stream for the unused time, and not before", async () => {
  const { hub, clock, opened } = hubWith(() => new FakeSource());
  const source = (): FakeSource => opened[0]!.source as FakeSource;
  const hold = held(await hub.acquire(name, watch));
  for (let second = 0; second < 30; second++) {
    source().push(frame(second));
    await advance(clock, 1_000);
  }
  assert.equal(source().closedWith, undefined);
  hold.release();
  hold.release();
  for (let second = 30; second < 39; second++) {
    source().push(frame(second));
    await advance(clock, 1_000);
  }
  assert.equal(source().closedWith, undefined);
  await advance(clock, 1_500);
  assert.equal(source().closedWith, "unused");
  assert.equal(hub.find(name), undefined);
  await hub.close({ code: "done" });
  assert.equal(clock.pendingTimers, 0);
});

test("a name that every upstream denies is not-found, and costs nothing when asked again at once", async () => {
  const { hub, clock, opened } = hubWith(() => new NoSuchStream("404"));
  assert.equal((await hub.acquire(name, watch)).kind, "not-found");
  const attempts = opened.length;
  for (let again = 0; again < 100; again++) assert.equal((await hub.acquire(name, watch)).kind, "not-found");
  assert.equal(opened.length, attempts);
  clock.advance(1_100);
  await hub.acquire(name, watch);
  assert.ok(opened.length > attempts);
  await hub.close({ code: "done" });
});

test("an upstream that cannot be reached is unavailable, not unknown", async () => {
  const { hub, clock, opened } = hubWith(() => new Error("connection refused"));
  const result = await inTime(clock, hub.acquire(name, watch));
  assert.deepEqual(result, { kind: "unavailable", reason: "connection refused" });
  assert.equal(opened.length, 2, "one round, and one try more");
  assert.ok(clock.nowMs() >= 1_000, "the same URL is tried once a second");
  await hub.close({ code: "done" });
});

test("the first viewer gets the first URL that works, in the order written", async () => {
  const urls = ["fake://a/x", "fake://b/x", "fake://c/x"];
  const { hub, opened } = hubWith((url) => (url === urls[2] ? new FakeSource() : new Error("down")), { urls });
  held(await hub.acquire(name, watch));
  assert.deepEqual(
    opened.map(({ url }) => url),
    urls,
  );
  await hub.close({ code: "done" });
});

test("a source that ends is replaced by the next URL at once, and viewers stay", async () => {
  const urls = ["fake://a/x", "fake://b/x"];
  const { hub, opened } = hubWith(() => new FakeSource(), { urls });
  const { stream } = held(await hub.acquire(name, watch));
  const seen: number[] = [];
  const ends: string[] = [];
  stream.addReader({ onSample: ({ dts }) => seen.push(dts / 3_600), onEnd: ({ code }) => ends.push(code) });
  const first = opened[0]!.source as FakeSource;
  for (let index = 0; index < 30; index++) first.sink!.onSample(frame(index));
  first.end({ code: "socket-closed" });
  await settle();
  const second = opened[1]!.source as FakeSource;
  for (let index = 25; index < 50; index++) second.sink!.onSample(frame(index));
  assert.deepEqual(
    seen,
    Array.from({ length: 50 }, (_, index) => index),
  );
  assert.deepEqual(ends, []);
  assert.equal(first.closedWith, "socket-closed");
  await hub.close({ code: "done" });
});

test("silence counts in media: a source that is connected but sends no sample is left after the no-input time", async () => {
  const { hub, clock, opened } = hubWith(() => new FakeSource());
  held(await hub.acquire(name, watch));
  await advance(clock, 2_900);
  assert.equal(opened.length, 1);
  await advance(clock, 700);
  assert.equal(opened.length, 2);
  assert.equal((opened[0]!.source as FakeSource).closedWith, "no-input");
  await hub.close({ code: "done" });
});

test("viewers are kept through an outage and resume; a source that never returns ends the stream after the grace time", async () => {
  let isDown = false;
  const { hub, clock, opened, plans } = hubWith(() => (isDown ? new Error("refused") : new FakeSource()));
  const { stream } = held(await hub.acquire(name, watch));
  const ends: string[] = [];
  stream.addReader({ onSample() {}, onEnd: ({ code }) => ends.push(code) });
  isDown = true;
  (opened[0]!.source as FakeSource).end({ code: "socket-closed" });
  await advance(clock, 20_000);
  assert.deepEqual(ends, []);
  assert.ok(opened.length < 20, `${opened.length} attempts in 20 s`);
  assert.ok(plans() >= opened.length - 1, "the plan is asked again for each attempt");
  isDown = false;
  await advance(clock, 6_000);
  assert.ok(opened.at(-1)!.source instanceof FakeSource);
  isDown = true;
  (opened.at(-1)!.source as FakeSource).end({ code: "socket-closed" });
  await advance(clock, 40_000);
  assert.deepEqual(ends, ["source-lost"]);
  assert.equal(hub.find(name), undefined);
  await hub.close({ code: "done" });
  assert.equal(clock.pendingTimers, 0);
});

test("a persistent stream is never let go and never given up", async () => {
  let isDown = false;
  const { hub, clock, opened } = hubWith(() => (isDown ? new Error("refused") : new FakeSource()), {
    isPersistent: true,
  });
  held(await hub.acquire(name, watch)).release();
  await advance(clock, 12_000, 1_000);
  assert.ok(hub.find(name));
  isDown = true;
  (opened.at(-1)!.source as FakeSource).end({ code: "socket-closed" });
  await advance(clock, 120_000, 500);
  assert.ok(hub.find(name));
  await hub.close({ code: "done" });
});

test("refuses to pull from itself in a circle", async () => {
  const { hub } = hubWith(() => new FakeSource(describedAs({ path: ["origin", "me"] })));
  assert.equal((await hub.acquire(name, watch)).kind, "not-found");
  await hub.close({ code: "done" });
});

test("asks the source for a key frame at most once a second", async () => {
  const { hub, clock, opened } = hubWith(() => new FakeSource());
  const { stream } = held(await hub.acquire(name, watch));
  for (let ms = 0; ms < 2_000; ms += 100) {
    stream.requestKeyframe(0);
    clock.advance(100);
  }
  assert.deepEqual((opened[0]!.source as FakeSource).keyframesAsked, [0, 0]);
  await hub.close({ code: "done" });
});

test("a viewer who leaves while the stream is being opened is not waited for", async () => {
  let finish = (_source: FakeSource): void => {};
  const hub = new StreamHub({
    clock: new ManualClock(),
    logger: silentLogger,
    nodeId: "me",
    plan: async () => basePlan,
    openers: new Map([["fake", () => new Promise<FakeSource>((resolve) => (finish = resolve))]]),
  });
  const leaving = new AbortController();
  const leaver = hub.acquire(name, watch, leaving.signal);
  const stayer = hub.acquire(name, watch);
  leaving.abort();
  assert.equal((await leaver).kind, "unavailable");
  finish(new FakeSource());
  held(await stayer);
  assert.deepEqual(hub.list()[0]!.viewers, { webrtc: 1 });
  await hub.close({ code: "done" });
});

test("a stream that was here is pulled again although its client has asked for much that does not exist", async () => {
  let isThere = true;
  const { hub, clock, opened } = hubWith(() => (isThere ? new FakeSource() : new NoSuchStream("404")));
  const asking = { ...watch, client: "10.0.0.1" };
  held(await hub.acquire(name, asking)).release();
  await advance(clock, 12_000, 500);
  assert.equal(hub.find(name), undefined);
  isThere = false;
  const nonsense = Array.from({ length: 100 }, (_, index) => hub.acquire({ ...name, stream: `n${index}` }, asking));
  await inTime(clock, Promise.all(nonsense));
  assert.ok(opened.length <= 40, `${opened.length} asked for`);
  assert.ok(hub.counters.refusals.client >= 50);
  isThere = true;
  held(await hub.acquire(name, asking));
  await hub.close({ code: "done" });
});

test("a node that stops while it looks up where a stream is pulled from connects to nobody", async () => {
  const plan = Promise.withResolvers<PullPlan>();
  let connects = 0;
  const clock = new ManualClock();
  const hub = new StreamHub({
    clock,
    logger: silentLogger,
    nodeId: "me",
    plan: () => plan.promise,
    openers: new Map([["fake", async () => (connects++, new FakeSource())]]),
  });
  const asked = hub.acquire(name, watch);
  const closed = hub.close({ code: "shutdown" });
  plan.resolve(basePlan);
  assert.equal((await asked).kind, "unavailable");
  await closed;
  await assert.rejects(hub.pull({ ...name, stream: "later" }, { ...basePlan, from: "api" }));
  assert.equal(connects, 0);
  assert.deepEqual([hub.list(), clock.pendingTimers], [[], 0]);
});
