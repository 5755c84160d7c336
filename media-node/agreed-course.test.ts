import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { FakeSource, settle } from "../test/support/fake-source.ts";
import { audioTrack, describe, syntheticSamples, videoTrack } from "../test/support/synthetic-media.ts";
import { until } from "../test/support/until.ts";
import { withAgreedCourse } from "./agreed-course.ts";
import type { CourseStore } from "./cluster/store/contract.ts";
import { hearthEpochMs } from "./core/epoch.ts";
import type { Sample } from "./core/sample.ts";
import { SourceSplice } from "./core/source-splice.ts";
import { Stream, type StreamDescription } from "./core/stream.ts";
import type { Track } from "./core/track.ts";
import { silentLogger } from "./flow/logger.ts";
import { mediaPlaylist } from "./llhls/media-playlist.ts";
import { StreamOutput } from "./llhls/stream-output.ts";
import { startEmbeddedRedis } from "./stores/embedded-redis.ts";
import { connectRedisStore } from "./stores/redis-store.ts";
import { systemClock } from "./time/clock.ts";
import { ManualClock } from "./time/manual-clock.ts";

const stream = { vhost: "default", app: "app", stream: "stream" };
const samples = syntheticSamples({ durationMs: 60_000, startMs: 2_000 });
const timeMs = ({ trackId, dts }: Sample): number => dts / (trackId === 0 ? 90 : 48);

/** The picture's decoder configuration with one bit turned: what a change of encoder looks like. */
const other: Track = {
  ...videoTrack,
  decoderConfig: videoTrack.decoderConfig!.map((byte, at) => (at === 12 ? byte ^ 1 : byte)),
};

/** An OvenMediaEngine origin once its epoch was agreed on: it says nothing of its past. */
function omeLike(video = videoTrack, more: Partial<StreamDescription> = {}): StreamDescription {
  return {
    ...describe([video, audioTrack], hearthEpochMs),
    isEpochShared: true,
    originId: "server/#default#app/s/i",
    ...more,
  };
}

/** One edge: what it pulls, and the list that it shows. */
class Edge {
  readonly #store: CourseStore | undefined;
  readonly #clock = new ManualClock();
  #stream: Stream | undefined;
  #splice: SourceSplice | undefined;
  #output: StreamOutput | undefined;
  #fake: FakeSource | undefined;

  constructor(store: CourseStore | undefined) {
    this.#store = store;
  }

  async pull(description: StreamDescription): Promise<void> {
    const fake = new FakeSource(description);
    const open = withAgreedCourse(async () => fake, { storeOf: () => this.#store, clock: this.#clock });
    const shown = (): StreamDescription | undefined => this.#stream?.description;
    const source = await open("ovt://origin/app/stream", { signal: new AbortController().signal, stream, shown });
    this.#stream ??= new Stream(stream, source.description, { clock: this.#clock });
    this.#splice ??= new SourceSplice(this.#stream, this.#clock);
    this.#splice.begin(source.description);
    this.#output ??= this.#begin(this.#stream);
    this.#fake = fake;
    const splice = this.#splice;
    source.start({
      onSample: (sample) => splice.push(sample),
      onDescription: (description) => splice.describe(description),
      onEnd() {},
    });
  }

  #begin(stream: Stream): StreamOutput {
    const options = { segmentMs: 2_000, partMs: 200, segmentCount: 10, streamKey: "key", logger: silentLogger };
    const output = new StreamOutput(stream, { ...options, onProgress() {} });
    output.start();
    return output;
  }

  /** What the origin sends from `fromMs` to `untilMs`. */
  async play(fromMs: number, untilMs: number): Promise<void> {
    for (const sample of samples) {
      if (timeMs(sample) < fromMs || timeMs(sample) >= untilMs) continue;
      this.#fake!.sink!.onSample(sample);
      // The first one may have something to tell.
      if (sample.isKeyframe && sample.trackId === 0) await answered();
    }
  }

  /** The description changes while it plays. */
  async changes(description: StreamDescription): Promise<void> {
    this.#fake!.sink!.onDescription(description);
    await answered();
  }

  /** A minute goes by. */
  renew(): void {
    this.#clock.advance(61_000);
  }

  /** The picture's list as the first viewer, or one from another edge, finds it. */
  list(isForGuest = false): string[] {
    this.#output!.publish(isForGuest);
    return mediaPlaylist(this.#output!.lead!, {
      targetSeconds: 4,
      partHoldBackMs: 630,
      epochMs: hearthEpochMs,
      siblings: [],
      hasPreloadHint: false,
      isDelta: false,
      isLegacy: true,
    }).split("\n");
  }

  /** The discontinuity sequence number of each listed segment with media (RFC 8216 §6.2.1), by name. */
  numbers(): Map<string, number> {
    const lines = this.list();
    let number = numberIn(lines, "#EXT-X-DISCONTINUITY-SEQUENCE") ?? 0;
    const numbers = new Map<string, number>();
    for (const [at, line] of lines.entries()) {
      if (line === "#EXT-X-DISCONTINUITY") number++;
      else if (line.startsWith("seg_") && lines[at - 2] !== "#EXT-X-GAP") numbers.set(line, number);
    }
    return numbers;
  }
}

function numberIn(lines: readonly string[], tag: string): number | undefined {
  const line = lines.find((line) => line.startsWith(`${tag}:`));
  return line === undefined ? undefined : Number(line.slice(tag.length + 1));
}

/** What edges have asked their stores, which real sockets are in between. */
const asked = new Set<Promise<unknown>>();

async function answered(): Promise<void> {
  await Promise.allSettled(asked);
  await settle();
}

/** Remembers what is asked of a store until it has answered. */
function noted(store: CourseStore): CourseStore {
  return {
    async agreeCourse(name, source, seen) {
      const answer = store.agreeCourse(name, source, seen);
      asked.add(answer);
      return answer.finally(() => asked.delete(answer));
    },
  };
}

async function storesFor(t: TestContext): Promise<{ connect(): Promise<CourseStore>; forget(): Promise<void> }> {
  let server = await startEmbeddedRedis();
  const { port } = server;
  t.after(() => server.close());
  const url = `redis://127.0.0.1:${port}`;
  return {
    async connect() {
      const store = await connectRedisStore({ url, clock: systemClock, logger: silentLogger, deadlineMs: 5_000 });
      t.after(() => store.close());
      return noted(store);
    },
    async forget() {
      await server.close();
      server = await startEmbeddedRedis({ port });
    },
  };
}

/** Every segment that both list has one number. */
function assertSameNumbers(one: Edge, two: Edge, least: number): void {
  const [a, b] = [one.numbers(), two.numbers()];
  const shared = [...a.keys()].filter((name) => b.has(name));
  assert.ok(shared.length >= least, `${shared.length} segments in both`);
  assert.deepEqual(
    shared.map((name) => b.get(name)),
    shared.map((name) => a.get(name)),
  );
}

test("lists of edges that joined within one window begin alike behind an origin that does not say when it began", async (t) => {
  const stores = await storesFor(t);
  const first = new Edge(await stores.connect());
  const young = new Edge(await stores.connect());
  await first.pull(omeLike());
  await first.play(2_700, 9_000);
  const begin = (edge: Edge, isForGuest = false) => numberIn(edge.list(isForGuest), "#EXT-X-MEDIA-SEQUENCE");
  const before = begin(first);
  await young.pull(omeLike());
  for (let atMs = 9_000; atMs < 21_000; atMs += 1_000) {
    for (const edge of [first, young]) await edge.play(atMs, atMs + 1_000);
    if (atMs >= 13_000) assert.equal(begin(young, true), begin(first), `at ${atMs} ms`);
  }
  assert.equal(begin(first), before, "its window is not over");
  assert.ok(young.list().includes("#EXT-X-GAP"));
});

test("a break that two edges see at once counts once, also for one that joins later and for one that comes back", async (t) => {
  const stores = await storesFor(t);
  const [one, two, late] = [
    new Edge(await stores.connect()),
    new Edge(await stores.connect()),
    new Edge(await stores.connect()),
  ];
  for (const edge of [one, two]) await edge.pull(omeLike());
  for (const edge of [one, two]) await edge.play(2_000, 11_000);
  // The origin begins anew with another encoder.
  await Promise.all([one, two].map((edge) => edge.pull(omeLike(other))));
  await late.pull(omeLike(other));
  for (const edge of [one, two, late]) await edge.play(11_000, 20_000);
  assertSameNumbers(one, two, 6);
  assertSameNumbers(one, late, 2);
  assert.equal([...late.numbers().values()].at(-1), 1);
  // The connection of one breaks, nothing has changed.
  await two.pull(omeLike(other));
  for (const edge of [one, two, late]) await edge.play(20_000, 26_000);
  assertSameNumbers(one, two, 6);
  // The encoder is set otherwise while they play.
  for (const edge of [one, two]) await edge.changes(omeLike());
  const later = new Edge(await stores.connect());
  await later.pull(omeLike());
  for (const edge of [one, two, later]) await edge.play(26_000, 36_000);
  assertSameNumbers(one, two, 6);
  assertSameNumbers(one, later, 3);
  assert.equal([...later.numbers().values()].at(-1), 2);
});

test("an edge that missed two breaks, after which all was as before, writes them before its next segment", async (t) => {
  const stores = await storesFor(t);
  const [one, away] = [new Edge(await stores.connect()), new Edge(await stores.connect())];
  for (const edge of [one, away]) await edge.pull(omeLike());
  for (const edge of [one, away]) await edge.play(2_000, 11_000);
  for (const video of [other, videoTrack]) await one.pull(omeLike(video));
  await away.pull(omeLike());
  for (const edge of [one, away]) await edge.play(11_000, 20_000);
  assertSameNumbers(one, away, 6);
  assert.equal([...away.numbers().values()].at(-1), 2);
});

test("an edge whose count is behind is told with its renewal, and a store that lost all is told by who knows", async (t) => {
  const stores = await storesFor(t);
  const knowing = await stores.connect();
  const [one, behind] = [new Edge(knowing), new Edge(await stores.connect())];
  for (const edge of [one, behind]) await edge.pull(omeLike());
  for (const edge of [one, behind]) await edge.play(2_000, 9_000);
  await one.changes(omeLike(other));
  await one.changes(omeLike());
  behind.renew();
  for (const edge of [one, behind]) await edge.play(9_000, 16_000);
  assert.equal([...behind.numbers().values()].at(-1), 2);
  assertSameNumbers(one, behind, 3);
  await stores.forget();
  const isBack = async (): Promise<boolean> =>
    knowing.agreeCourse(stream, "another", { shape: "x", breaks: 0, isFollowed: true }).then(
      () => true,
      () => false,
    );
  await until("the store is back", 5_000, isBack);
  one.renew();
  await one.play(16_000, 19_000);
  const late = new Edge(await stores.connect());
  await late.pull(omeLike());
  await one.play(19_000, 28_000);
  await late.play(19_000, 28_000);
  assertSameNumbers(one, late, 3);
  assert.equal([...late.numbers().values()].at(-1), 2);
});

test("an origin that takes another's place goes on in its count, whichever kind it is", async (t) => {
  for (const more of [{}, { discontinuities: 0, beganMs: 0 }]) {
    const stores = await storesFor(t);
    const [one, late] = [new Edge(await stores.connect()), new Edge(await stores.connect())];
    await one.pull(omeLike(videoTrack, more));
    await one.play(2_000, 9_000);
    await one.changes(omeLike(other, more));
    await one.play(9_000, 15_000);
    const next = omeLike(other, { ...more, originId: "another/#default#app/s/i" });
    await one.pull(next);
    await late.pull(next);
    for (const edge of [one, late]) await edge.play(15_000, 26_000);
    assertSameNumbers(one, late, 3);
    assert.equal([...late.numbers().values()].at(-1), 1);
  }
});

test("without a store, or one that does not answer, an edge counts what it sees, and nobody waits for long", async () => {
  const clock = new ManualClock();
  const fake = new FakeSource(omeLike());
  const silent: CourseStore = { agreeCourse: () => new Promise(() => {}) };
  const open = (store: CourseStore | undefined) =>
    withAgreedCourse(async () => fake, { storeOf: () => store, clock })("ovt://origin/app/stream", {
      signal: new AbortController().signal,
      stream,
    });
  assert.equal(await open(undefined), fake);
  const opening = open(silent);
  await settle();
  clock.advance(150);
  const source = await opening;
  assert.deepEqual(source.description, { ...fake.description, discontinuities: 0 });
  const seen: StreamDescription[] = [];
  source.start({ onSample() {}, onDescription: (description) => seen.push(description), onEnd() {} });
  fake.sink!.onDescription(omeLike(other));
  assert.deepEqual(
    seen.map(({ discontinuities }) => discontinuities),
    [1],
  );
  await source.close({ code: "done" });
  const failing = await open({ agreeCourse: () => Promise.reject(new Error("away")) });
  assert.equal(failing.description.discontinuities, 0);
  await failing.close({ code: "done" });
});

test("a count that nobody can have reached is not believed while viewers watch", async () => {
  const planted: CourseStore = { agreeCourse: async () => ({ breaks: 2_000_000 }) };
  const edge = new Edge(planted);
  await edge.pull(omeLike(videoTrack));
  await edge.play(2_000, 9_000);
  await edge.changes(omeLike(other));
  await edge.play(9_000, 15_000);
  const tags = edge.list().filter((line) => line === "#EXT-X-DISCONTINUITY");
  assert.equal(tags.length, 1);
});
