import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeSource } from "../test/support/fake-source.ts";
import { audioTrack, describe, syntheticSamples, videoTrack } from "../test/support/synthetic-media.ts";
import { withAgreedCourse } from "./agreed-course.ts";
import { withAgreedEpoch } from "./agreed-epoch.ts";
import { StoreUnavailable, type EpochStore } from "./cluster/store/contract.ts";
import { hearthEpochMs } from "./core/epoch.ts";
import type { Sample } from "./core/sample.ts";
import type { Source } from "./core/source.ts";
import type { StreamDescription } from "./core/stream.ts";
import { silentLogger } from "./flow/logger.ts";
import { StreamOutput } from "./llhls/stream-output.ts";
import { Stream } from "./core/stream.ts";
import { SourceSplice } from "./core/source-splice.ts";
import { connectRedisStore } from "./stores/redis-store.ts";
import { systemClock } from "./time/clock.ts";
import { ManualClock } from "./time/manual-clock.ts";
import { startEmbeddedRedis } from "./stores/embedded-redis.ts";

const stream = { vhost: "default", app: "app", stream: "stream" };
const samples = syntheticSamples({ durationMs: 60_000 });
const timeMs = ({ trackId, dts }: Sample): number => dts / (trackId === 0 ? 90 : 48);

/** As an OvenMediaEngine origin is seen: the same identity after each start, and times of its own. */
function omeLike(guessedEpochMs: number): StreamDescription {
  return {
    ...describe([videoTrack, audioTrack], guessedEpochMs),
    isEpochShared: false,
    originId: "server/#default#app/s/i",
  };
}

/** One edge that has pulled the stream, and what it has cut. */
class Edge {
  readonly clock: ManualClock;
  readonly stream: Stream;
  readonly output: StreamOutput;
  readonly #splice: SourceSplice;

  constructor(clock: ManualClock, source: Source) {
    this.clock = clock;
    this.stream = new Stream(stream, source.description, { clock });
    this.#splice = new SourceSplice(this.stream, clock);
    this.output = new StreamOutput(this.stream, {
      segmentMs: 2_000,
      partMs: 200,
      segmentCount: 30,
      streamKey: "key",
      logger: silentLogger,
      onProgress: () => {},
    });
    this.output.start();
    this.take(source);
  }

  /** Goes on with this source. */
  take(source: Source): void {
    this.#splice.begin(source.description);
    source.start({ onSample: (sample) => this.#splice.push(sample), onDescription() {}, onEnd() {} });
  }

  get segments(): Map<string, string> {
    const whole = this.output.lead!.segments.filter(({ isComplete, isCanonical }) => isComplete && isCanonical);
    return new Map(
      whole.map(({ uri, parts }) => [uri, Buffer.concat(parts.flatMap(({ file }) => file.pieces)).toString("base64")]),
    );
  }
}

async function opened(store: EpochStore | undefined, clock: ManualClock, mediaMs: number) {
  const fake = new FakeSource(omeLike(clock.wallMs() - mediaMs));
  const open = withAgreedEpoch(async () => fake, { storeOf: () => store, clock, logger: silentLogger });
  const source = await open("ovt://origin/app/stream", { signal: new AbortController().signal, stream });
  return { fake, source };
}

function sharedOf(a: Edge, b: Edge): string[] {
  return [...a.segments.keys()].filter((uri) => b.segments.has(uri));
}

test("edges behind an origin with a time of its own cut the same segments, also when it begins anew, and never go back", async (t) => {
  const server = await startEmbeddedRedis();
  t.after(() => server.close());
  const url = `redis://127.0.0.1:${server.port}`;
  const connect = () => connectRedisStore({ url, clock: systemClock, logger: silentLogger, deadlineMs: 5_000 });
  const [storeA, storeB] = [await connect(), await connect()];
  t.after(() => storeA.close());
  t.after(() => storeB.close());
  const clock = new ManualClock();
  const one = await opened(storeA, clock, 10);
  // The second sees the origin later, by another way, and measures 40 ms less.
  const two = await opened(storeB, clock, 50);
  assert.deepEqual([one.source.description.epochMs, one.source.description.isEpochShared], [hearthEpochMs, true]);
  const a = new Edge(clock, one.source);
  const b = new Edge(clock, two.source);
  for (const sample of samples.filter((each) => timeMs(each) < 14_000)) {
    one.fake.sink!.onSample(sample);
    if (timeMs(sample) >= 5_000) two.fake.sink!.onSample(sample);
  }
  const before = sharedOf(a, b);
  assert.ok(before.length >= 3, `${before.length} segments in both`);
  for (const uri of before) assert.equal(a.segments.get(uri), b.segments.get(uri), uri);
  const lastMsn = a.output.lead!.segments.at(-1)!.msn;

  // The origin is started anew, a minute later by all clocks: its times begin at 0, its identity is what it was.
  clock.advance(60_000);
  const agreed = await storeA.agreeEpoch(stream, "server/#default#app/s/i", -46_000);
  assert.ok(agreed > 0);
  const oneAgain = await opened(storeA, clock, -46_000);
  const late = await opened(storeB, clock, -46_000 + 20);
  a.take(oneAgain.source);
  const c = new Edge(clock, late.source);
  for (const sample of samples.filter((each) => timeMs(each) < 12_000)) {
    oneAgain.fake.sink!.onSample(sample);
    late.fake.sink!.onSample(sample);
  }
  const after = sharedOf(a, c);
  assert.ok(after.length >= 3, `${after.length} segments in both`);
  for (const uri of after) assert.equal(a.segments.get(uri), c.segments.get(uri), uri);
  assert.ok(a.output.lead!.segments.at(-1)!.msn > lastMsn);
});

test("without a store, or one that does not answer, the source stays as it is", async () => {
  const clock = new ManualClock();
  const silent: EpochStore = { agreeEpoch: () => Promise.reject(new StoreUnavailable("away")) };
  for (const store of [undefined, silent]) {
    const { source, fake } = await opened(store, clock, 0);
    assert.equal(source, fake);
  }
});

test("a node renews what it goes by once a minute, with what it measures then", async () => {
  const clock = new ManualClock();
  const asked: (number | undefined)[][] = [];
  const epochMs = hearthEpochMs + 1_000;
  const store: EpochStore = {
    agreeEpoch: async (_name, _source, mediaMs, heldMs) => {
      asked.push([Math.round(mediaMs), heldMs]);
      return epochMs;
    },
  };
  const { source, fake } = await opened(store, clock, 0);
  const got: Sample[] = [];
  source.start({ onSample: (sample) => got.push(sample), onDescription() {}, onEnd() {} });
  const [first] = samples.filter(({ trackId }) => trackId === 0);
  fake.sink!.onSample(first!);
  assert.deepEqual([got[0]!.dts, got[0]!.pts], [first!.dts + 90_000, first!.pts + 90_000]);
  clock.advance(61_000);
  fake.sink!.onSample({ ...first!, dts: 90_000 * 61 });
  fake.sink!.onSample({ ...first!, dts: 90_000 * 62 });
  assert.deepEqual(asked, [
    [0, undefined],
    [61_000, epochMs],
  ]);
  await source.close({ code: "done" });
});

test("how long it took to connect and how far the origin is are the source's own", async () => {
  const clock = new ManualClock();
  const agreeing = { agreeEpoch: async () => 0, agreeCourse: async () => ({ breaks: 0 }) };
  const fake = Object.assign(new FakeSource(omeLike(clock.wallMs())), { connectMs: 7, hopMs: 30 });
  const storeOf = () => agreeing;
  const open = withAgreedCourse(
    withAgreedEpoch(async () => fake, { storeOf, clock, logger: silentLogger }),
    { storeOf, clock },
  );
  const source = await open("ovt://origin/app/stream", { signal: new AbortController().signal, stream });
  assert.notEqual(source, fake);
  assert.deepEqual([source.connectMs, source.hopMs], [7, 30]);
  await source.close({ code: "done" });
});
