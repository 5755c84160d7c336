import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeSource, describedAs, frame, settle, sound } from "../../test/support/fake-source.ts";
import { silentLogger } from "../flow/logger.ts";
import { seededRandom } from "../../test/support/seeded-random.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { Pull } from "./pull.ts";
import { PullCounters } from "./pull-counters.ts";
import type { PullPlan } from "./pull-plan.ts";
import type { Sample } from "./sample.ts";
import { NoSuchStream, StreamNotReady } from "./source.ts";

const [a, b] = ["fake://a/app/s", "fake://b/app/s"];
const basePlan: PullPlan = {
  urls: [a, b],
  from: "rule",
  noInputTimeoutMs: 3_000,
  unusedTimeoutMs: 10_000,
  graceMs: 30_000,
  isPersistent: false,
};

type Answer = FakeSource | Error | "hangs";

/** One stream, and two upstreams of which a test decides how they are. */
class World {
  readonly clock = new ManualClock();
  readonly counters = new PullCounters();
  readonly opened: { url: string; isProbe: boolean; source: Answer; atMs: number }[] = [];
  readonly out: Sample[] = [];
  readonly ends: string[] = [];
  readonly discontinuities: boolean[] = [];
  plan: PullPlan;
  planAsked = 0;
  answer: (url: string, isProbe: boolean) => Answer = () => new FakeSource();
  #pull: Pull | undefined;

  constructor(plan: Partial<PullPlan> = {}) {
    this.plan = { ...basePlan, ...plan };
  }

  get pull(): Pull {
    return this.#pull!;
  }

  async open(): Promise<Pull> {
    const opening = Pull.open({ vhost: "v", app: "app", stream: "s" }, this.plan, {
      clock: this.clock,
      logger: silentLogger,
      nodeId: "me",
      counters: this.counters,
      random: () => 0.5,
      plan: async () => {
        this.planAsked++;
        return this.plan;
      },
      openers: new Map([
        [
          "fake",
          async (url, { signal, isProbe = false }) => {
            const source = this.answer(url, isProbe);
            this.opened.push({ url, isProbe, source, atMs: this.clock.nowMs() });
            if (source instanceof Error) throw source;
            if (source !== "hangs") return source;
            return new Promise((_resolve, reject) => {
              signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true });
            });
          },
        ],
      ]),
    });
    const settled = { is: false };
    opening.then(
      () => (settled.is = true),
      () => (settled.is = true),
    );
    while (!settled.is) await this.pass(50);
    const pull = await opening;
    this.#pull = pull;
    pull.stream.addReader({
      onSample: (sample) => this.out.push(sample),
      onDescription: (_description, isDiscontinuity) => this.discontinuities.push(isDiscontinuity),
      onEnd: ({ code }) => this.ends.push(code),
    });
    return pull;
  }

  /** Time passes; `feed` is called every 40 ms with the number of the frame that is due. */
  async pass(ms: number, feed?: (index: number) => void): Promise<void> {
    const untilMs = this.clock.nowMs() + ms;
    while (this.clock.nowMs() < untilMs) {
      feed?.(Math.round(this.clock.nowMs() / 40));
      this.clock.advance(Math.min(40, untilMs - this.clock.nowMs()));
      await settle();
    }
  }

  /** The sources opened at `url` that were to be played. */
  at(url: string): FakeSource[] {
    return this.opened.flatMap((each) =>
      each.url === url && !each.isProbe && each.source instanceof FakeSource ? [each.source] : [],
    );
  }

  get frames(): number[] {
    return this.out.filter(({ trackId }) => trackId === 0).map(({ dts }) => dts / 3_600);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pull?.close({ code: "done" });
    await settle();
    assert.equal(this.clock.pendingTimers, 0);
    for (const { source, isProbe } of this.opened) {
      if (source instanceof FakeSource && !isProbe) assert.notEqual(source.closedWith, undefined, "left open");
    }
  }
}

const feedTo =
  (...sources: (FakeSource | undefined)[]) =>
  (index: number): void => {
    for (const source of sources) if (source && source.closedWith === undefined) source.sink?.onSample(frame(index));
  };

function assertEveryFrame(frames: readonly number[]): void {
  assert.deepEqual(
    frames,
    frames.map((_, index) => frames[0]! + index),
  );
}

test("when half of the patience is over a second source is opened, and takes over when all of it is", async () => {
  await using world = new World();
  await world.open();
  const [first] = world.at(a);
  await world.pass(1_000, feedTo(first));
  await world.pass(1_600);
  const [second] = world.at(b);
  assert.ok(second, "open after half of the time");
  assert.equal(first!.closedWith, undefined);
  const silentFrom = world.frames.at(-1)!;
  await world.pass(1_300, (index) => second.sink!.onSample(frame(index)));
  assert.equal(world.frames.at(-1), silentFrom, "the operator's time is kept");
  await world.pass(200, feedTo(second));
  assert.equal(first!.closedWith, "no-input");
  assert.ok(world.frames.at(-1)! > silentFrom, "the first frames are there at once");
  assert.deepEqual([world.counters.losses.silent, world.counters.failovers], [1, 1]);
});

test("a source that speaks again before its time is over keeps the stream, and is not doubted again for a while", async () => {
  await using world = new World();
  await world.open();
  const [first] = world.at(a);
  for (let round = 0; round < 3; round++) {
    await world.pass(400, feedTo(first));
    await world.pass(
      2_000,
      (index) => world.at(b).at(-1)?.closedWith ?? world.at(b).at(-1)?.sink?.onSample(frame(index)),
    );
    await world.pass(200, feedTo(first, world.at(b).at(-1)));
  }
  assert.equal(world.at(b).length, 1);
  assert.equal(world.at(b)[0]!.closedWith, "media-is-back");
  assert.equal(first!.closedWith, undefined);
  assert.deepEqual([world.counters.losses.silent, world.counters.standDowns], [0, 1]);
});

test("with one URL the silent source is closed before it is asked again: cameras serve one session", async () => {
  await using world = new World({ urls: [a] });
  await world.open();
  await world.pass(2_900);
  assert.equal(world.at(a).length, 1);
  await world.pass(300);
  assert.equal(world.at(a).length, 2);
  assert.equal(world.at(a)[0]!.closedWith, "no-input");
});

test("a second source that hangs does not keep the first from being asked again", async () => {
  await using world = new World();
  await world.open();
  world.answer = (url) => (url === b ? "hangs" : new FakeSource());
  await world.pass(9_000);
  assert.equal(world.at(a)[0]!.closedWith, "no-input");
  assert.equal(world.at(a).length, 2);
});

test("sound alone, or data alone, is media", async () => {
  await using world = new World();
  await world.open();
  const [first] = world.at(a);
  await world.pass(8_000, (index) => first!.sink!.onSample(sound(index)));
  assert.equal(world.at(b).length, 0);
  assert.equal(first!.closedWith, undefined);
});

test("a source that repeats itself for ever is silent", async () => {
  await using world = new World({ urls: [a] });
  await world.open();
  await world.pass(10_000, (index) => world.at(a)[0]!.sink!.onSample(frame(index % 50)));
  assert.equal(world.at(a)[0]!.closedWith, "no-input");
});

test("a closed socket is enough: the next URL is asked in the same moment", async () => {
  await using world = new World();
  await world.open();
  await world.pass(1_000, feedTo(world.at(a)[0]));
  const atMs = world.clock.nowMs();
  world.at(a)[0]!.sink!.onEnd({ code: "reset" });
  await settle();
  assert.equal(world.opened.at(-1)!.url, b);
  assert.equal(world.opened.at(-1)!.atMs, atMs);
  assert.deepEqual([world.counters.losses.ended, world.counters.failovers, world.counters.resumptions], [1, 1, 0]);
});

const failingBack = { hasFailback: true, failbackIntervalMs: 3_000 };

/** The first URL is down when the stream begins, and comes back. */
async function onSecondUrl(plan: Partial<PullPlan> = {}): Promise<World> {
  const world = new World({ ...failingBack, ...plan });
  world.answer = (url) => (url === a ? new Error("refused") : new FakeSource());
  await world.open();
  return world;
}

test("failback: asked by probes, opened beside, trusted after it has played, cut without a frame missing", async () => {
  await using world = await onSecondUrl();
  const [second] = world.at(b);
  await world.pass(7_000, feedTo(second));
  const probes = (): number => world.opened.filter(({ isProbe }) => isProbe).length;
  assert.equal(probes(), 2);
  assert.equal(world.counters.probes.failed, 2);
  world.answer = () => new FakeSource();
  await world.pass(3_000, feedTo(second));
  assert.equal(probes(), 3);
  const [first] = world.at(a);
  assert.ok(first, "opened after it answered");
  await world.pass(2_000, feedTo(second, first));
  assert.equal(second!.closedWith, undefined, "not before it has proved itself");
  await world.pass(2_000, feedTo(second, first));
  assert.equal(second!.closedWith, "failback");
  await world.pass(1_000, feedTo(first));
  assertEveryFrame(world.frames);
  assert.equal(world.counters.failbacks, 1);
  assert.ok(!world.discontinuities.includes(true));
});

test("failback to another encoder waits for its next key frame, so that no picture is missing", async () => {
  await using world = await onSecondUrl();
  const [second] = world.at(b);
  world.answer = () => new FakeSource();
  await world.pass(3_200, feedTo(second));
  const [first] = world.at(a);
  assert.ok(first);
  const other = (index: number): Sample => ({ ...frame(index, 40), data: Uint8Array.of(7, index & 0xff) });
  await world.pass(8_000, (index) => {
    feedTo(second)(index);
    if (first.closedWith === undefined) first.sink!.onSample(other(index));
  });
  assert.equal(second!.closedWith, "failback");
  assertEveryFrame(world.frames);
  const cut = world.out.findIndex(({ data }) => data[0] === 7);
  assert.equal(world.out[cut]!.isKeyframe, true);
});

test("failback to a source with a clock of its own continues the stream's time", async () => {
  await using world = await onSecondUrl();
  const [second] = world.at(b);
  world.answer = () => new FakeSource(describedAs({ isEpochShared: false, epochMs: 5 }));
  await world.pass(3_200, feedTo(second));
  const [first] = world.at(a);
  await world.pass(6_000, (index) => {
    feedTo(second)(index);
    if (first!.closedWith === undefined) first!.sink!.onSample(frame(index + 1_000_000));
  });
  assert.equal(second!.closedWith, "failback");
  const steps = world.frames.slice(1).map((index, at) => index - world.frames[at]!);
  assert.ok(
    steps.every((step) => step > 0 && step <= 2),
    `steps of ${Math.max(...steps)} frames`,
  );
});

test("failback announces other codec settings, and begins them with a key frame", async () => {
  await using world = await onSecondUrl();
  const [second] = world.at(b);
  const [video, audio] = describedAs().tracks;
  const tracks = [{ ...video!, decoderConfig: Uint8Array.of(1) }, audio!];
  world.answer = () => new FakeSource(describedAs({ tracks }));
  await world.pass(3_200, feedTo(second));
  const sentBefore = world.out.length;
  const [first] = world.at(a);
  await world.pass(6_000, (index) => {
    feedTo(second)(index);
    if (first!.closedWith === undefined) first!.sink!.onSample({ ...frame(index), data: Uint8Array.of(9, 9) });
  });
  assert.deepEqual(world.discontinuities.filter(Boolean), [true]);
  const cut = world.out.findIndex(({ data }, at) => at >= sentBefore && data[0] === 9);
  assert.equal(world.out[cut]!.isKeyframe, true);
});

test("a first source that falls silent while it is tried is left again, and the stream noticed nothing", async () => {
  await using world = await onSecondUrl();
  const [second] = world.at(b);
  world.answer = () => new FakeSource();
  await world.pass(7_500, feedTo(second));
  assert.equal(world.at(a)[0]!.closedWith, "no-input");
  assert.equal(world.counters.standDowns, 1);
  assert.equal(second!.closedWith, undefined);
  assertEveryFrame(world.frames);
});

test("a first source that is lost again soon after the return must prove itself for longer", async () => {
  await using world = await onSecondUrl();
  world.answer = () => new FakeSource();
  const feedAll = (index: number): void => feedTo(...world.at(a), ...world.at(b))(index);
  await world.pass(9_000, feedAll);
  assert.equal(world.counters.failbacks, 1);
  world.at(a).at(-1)!.sink!.onEnd({ code: "reset" });
  await settle();
  await world.pass(8_000, feedAll);
  assert.equal(world.counters.failbacks, 1, "3 s are not enough this time");
  await world.pass(5_000, feedAll);
  assert.equal(world.counters.failbacks, 2);
});

test("a probe that hangs holds up nothing", async () => {
  await using world = await onSecondUrl();
  world.answer = (url) => (url === a ? "hangs" : new FakeSource());
  await world.pass(4_000, feedTo(world.at(b)[0]));
  world.at(b)[0]!.sink!.onEnd({ code: "reset" });
  await settle();
  assert.equal(world.opened.at(-1)!.url, a, "the next URL in turn");
  await world.pass(6_100);
  assert.equal(world.at(b).length, 2, "and after its deadline the one after");
});

test("RetryCount, when given, decides after a loss as well: rounds over the URLs and one try more", async () => {
  for (const [retryCount, tries] of [
    [0, 0],
    [1, 3],
    [3, 7],
  ] as const) {
    await using world = new World({ retryCount });
    await world.open();
    await world.pass(1_100, feedTo(world.at(a)[0]));
    world.answer = () => new Error("refused");
    const before = world.opened.length;
    world.at(a)[0]!.sink!.onEnd({ code: "reset" });
    await world.pass(60_000);
    assert.equal(world.opened.length - before, tries, `RetryCount ${retryCount}`);
    assert.deepEqual(world.ends, ["source-lost"]);
    assert.equal(world.counters.givenUp, 1);
  }
});

test("without RetryCount viewers are kept for the grace time, and the last try is made after it", async () => {
  await using world = new World({ urls: [a] });
  await world.open();
  world.answer = () => new Error("refused");
  world.at(a)[0]!.sink!.onEnd({ code: "reset" });
  const lostMs = world.clock.nowMs();
  await world.pass(29_900);
  assert.deepEqual(world.ends, []);
  await world.pass(4_000);
  assert.deepEqual(world.ends, ["source-lost"]);
  assert.ok(world.opened.at(-1)!.atMs - lostMs >= 30_000, "so that a source that is back by then is found");
  for (const [index, { atMs }] of world.opened.entries()) {
    if (index >= 2) assert.ok(atMs - world.opened[index - 1]!.atMs >= 1_000, "at most one try a second");
  }
});

test("a source that hangs up as soon as it plays is opened once a second", async () => {
  await using world = new World({ urls: [a] });
  world.answer = () => {
    const source = new FakeSource();
    queueMicrotask(() => queueMicrotask(() => source.sink?.onEnd({ code: "reset" })));
    return source;
  };
  await world.open();
  await world.pass(10_000);
  assert.ok(world.opened.length <= 12, `${world.opened.length} in 10 s`);
});

test("the plan is asked again for every try, and a moved origin is found", async () => {
  await using world = new World({ urls: [a] });
  await world.open();
  await world.pass(500, feedTo(world.at(a)[0]));
  world.answer = (url) => (url === a ? new Error("refused") : new FakeSource());
  world.plan = { ...world.plan, urls: ["fake://moved/app/s"] };
  world.at(a)[0]!.sink!.onEnd({ code: "reset" });
  await world.pass(100);
  assert.equal(world.at("fake://moved/app/s").length, 1);
});

class UnplayableSource extends FakeSource {
  override start(): void {
    throw new Error("not this one");
  }
}

test("a second source that cannot be started is let go of, and the stream goes on", async () => {
  await using world = new World();
  world.answer = (url) => (url === a ? new FakeSource() : new UnplayableSource());
  await world.open();
  const [first] = world.at(a);
  await world.pass(1_000, feedTo(first));
  await world.pass(2_500);
  assert.equal(world.at(b)[0]?.closedWith, "not-usable");
  await world.pass(4_000, (index) => feedTo(first, ...world.at(a))(index));
  assert.deepEqual(world.ends, []);
  assert.equal(world.pull.state.phase, "live");
});

test("a first source that is back and cannot be started is let go of each time", async () => {
  await using world = new World({ hasFailback: true, failbackIntervalMs: 500 });
  world.answer = (url) => (url === a ? new Error("refused") : new FakeSource());
  await world.open();
  world.answer = (url, isProbe) => (url === a && !isProbe ? new UnplayableSource() : new FakeSource());
  await world.pass(3_000, feedTo(...world.at(b)));
  const tried = world.at(a);
  assert.ok(tried.length > 1, `${tried.length} tried`);
  assert.deepEqual(new Set(tried.map(({ closedWith }) => closedWith)), new Set(["not-usable"]));
});

test("when all of a rule's URLs fail the registry is asked; what it names is tried, and named as its", async () => {
  const fromStore: PullPlan = { ...basePlan, urls: ["fake://stored/app/s"], from: "store" };
  await using world = new World({ otherwise: async () => fromStore });
  world.answer = (url) => (url.includes("stored") ? new FakeSource() : new NoSuchStream("404"));
  await world.open();
  assert.deepEqual(
    world.opened.map(({ url }) => url),
    [a, b, "fake://stored/app/s"],
  );
  assert.equal(world.pull.from, "store");
});

test("a registry that is silent behind a rule whose origins deny the stream leaves it open whether it exists", async () => {
  await using world = new World({ otherwise: async () => ({ kind: "unavailable", reason: "silent" }) });
  world.answer = () => new NoSuchStream("404");
  await assert.rejects(world.open(), (thrown) => !(thrown instanceof NoSuchStream));
  await using denied = new World({ otherwise: async () => ({ kind: "not-found", reason: "no entry" }) });
  denied.answer = () => new NoSuchStream("404");
  await assert.rejects(denied.open(), NoSuchStream);
});

test("a stream that is coming is asked for as long as viewers wait, whatever RetryCount allows", async () => {
  await using world = new World({ urls: [a, b], retryCount: 0 });
  world.answer = (url) => {
    if (url === b) return new NoSuchStream("not here");
    return world.clock.nowMs() < 5_000 ? new StreamNotReady("SOON", "not yet") : new FakeSource();
  };
  await world.open();
  assert.ok(world.clock.nowMs() < 9_000, `${world.clock.nowMs()} ms`);
  const never = new World({ urls: [a], retryCount: 0 });
  never.answer = () => new StreamNotReady("SOON", "not yet");
  await assert.rejects(never.open(), { code: "SOON" });
  assert.ok(never.clock.nowMs() >= 8_000 && never.clock.nowMs() < 13_000, `${never.clock.nowMs()} ms`);
});

test("whatever upstreams do, one source plays and at most one beside it, time never goes back, and nothing is left open", async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seededRandom(seed);
    const oneOf = <T>(...choices: T[]): T => choices[Math.floor(random() * choices.length)]!;
    const clocks = [describedAs(), describedAs({ epochMs: 7 }), describedAs({ isEpochShared: false, epochMs: 9 })];
    await using world = new World({ hasFailback: random() < 0.5, failbackIntervalMs: 500, isPersistent: true });
    await world.open();
    const states = new Map<string, string>();
    world.answer = (url) => {
      const state = states.get(url);
      if (state === "down") return new Error("refused");
      if (state === "hangs") return "hangs";
      return state === "gone" ? new NoSuchStream("404") : new FakeSource(oneOf(...clocks));
    };
    for (let step = 0; step < 30; step++) {
      const url = oneOf(a, b);
      states.set(url, oneOf("up", "up", "down", "hangs", "gone", "silent"));
      const open = (): FakeSource[] =>
        [...world.at(a), ...world.at(b)].filter(({ closedWith }) => closedWith === undefined);
      if (random() < 0.4) oneOf(...open(), undefined)?.sink?.onEnd({ code: "reset" });
      await world.pass(200 + random() * 3_000, (index) => {
        for (const each of [a, b]) if (states.get(each) !== "silent") feedTo(...world.at(each))(index);
        assert.ok(open().length <= 2, `seed ${seed}: ${open().length} sources open`);
      });
    }
    const dts = world.out.filter(({ trackId }) => trackId === 0).map((sample) => sample.dts);
    assert.ok(
      dts.every((each, index) => index === 0 || each > dts[index - 1]!),
      `seed ${seed}`,
    );
    assert.deepEqual(world.ends, []);
  }
});
