// Nobody watched here before, and the first viewer asks in the order in which players do: whatever the origin is and however
// its stream is made, no answer is an error. Time is the test's, so that what each viewer waited for is exact.
import assert from "node:assert/strict";
import { duplexPair } from "node:stream";
import { test, type TestContext } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { readInit } from "../../infra/hls-check/fragment-reader.ts";
import { readMediaPlaylist, type SeenPlaylist } from "../../infra/hls-check/playlist-reader.ts";
import { serializeAdtsHeader } from "../../media-node/codecs/aac.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import type { OpenSource } from "../../media-node/core/source.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import type { LlHls } from "../../media-node/llhls/ll-hls.ts";
import { openOvtSource } from "../../media-node/ovt/ovt-source.ts";
import { ManualClock } from "../../media-node/time/manual-clock.ts";
import { ask, type AskedExchange } from "../support/asked-exchange.ts";
import { startLlHlsNode } from "../support/llhls-node.ts";
import { FedSource, openTestNode } from "../support/ovt-kit.ts";
import { contentsOf, mediaBytes, ScriptedOrigin, wellBehaved, wireTrack } from "../support/scripted-origin.ts";
import {
  audioTrack,
  describe,
  syntheticSamples,
  videoTrack,
  type SyntheticOptions,
} from "../support/synthetic-media.ts";

const segmentMs = 2_000;
/** What an edge with such segments asks of its origin. */
const recentMs = 14_000;
const stepMs = 40;
/** What each viewer plays. */
const playedSeconds = 6;

interface Kind {
  readonly media: Partial<SyntheticOptions>;
  /** How long the stream has been running when the first viewer comes. */
  readonly ranMs: number;
  /** Key frames further apart than a request is held: OvenMediaEngine's origins send nothing before the next. */
  readonly isFarApart?: boolean;
}

const kinds: Record<string, Kind> = {
  "a key frame every second": { media: {}, ranMs: 20_520 },
  "key frames six seconds apart": { media: { isKeyframe: (index) => index % 150 === 0 }, ranMs: 20_520 },
  "key frames twelve seconds apart": {
    media: { isKeyframe: (index) => index % 300 === 0 },
    ranMs: 25_000,
    isFarApart: true,
  },
  "sound alone": { media: { hasVideo: false }, ranMs: 20_520 },
  "a beginning that is no key frame": { media: { isKeyframe: (index) => index % 50 === 30 }, ranMs: 0 },
};

/** An origin and the connection to it; media goes in at its far end. */
interface Origin {
  readonly open: OpenSource;
  push(sample: Sample): void;
  close(): Promise<void>;
}

const tracksOf = ({ hasVideo = true }: Partial<SyntheticOptions>) =>
  hasVideo ? [videoTrack, audioTrack] : [audioTrack];

async function hearthOrigin(clock: ManualClock, media: Partial<SyntheticOptions>): Promise<Origin> {
  const fed = new FedSource(describe(tracksOf(media), clock.wallMs()));
  const node = openTestNode("origin", { clock, fed: { stream: fed }, recentMs });
  const held = await node.hub.acquire({ vhost: "default", app: "app", stream: "stream" }, { protocol: "llhls" });
  assert.equal(held.kind, "stream");
  const dial = async (): Promise<ReturnType<typeof duplexPair>[0]> => {
    const [near, far] = duplexPair();
    // As with sockets, one end that is gone ends the other.
    far.once("close", () => setImmediate(() => near.destroy()));
    near.once("close", () => setImmediate(() => far.destroy()));
    node.publisher.accept(far, "127.0.0.1");
    return near;
  };
  const open = openOvtSource({ dial, clock, logger: silentLogger, nodeId: "edge", recentMs });
  return { open, push: (sample) => fed.push(sample), close: () => node.close() };
}

/** Sends what comes from now on, from the middle of a group of pictures, and knows no clock that edges share. */
async function omeOrigin(clock: ManualClock, media: Partial<SyntheticOptions>): Promise<Origin> {
  const configOf = (config: Uint8Array): object => ({ decoderConfig: Buffer.from(config).toString("base64") });
  const video = wireTrack(0, 0, 1, configOf(videoTrack.decoderConfig!));
  const audio = wireTrack(1, 1, 7, configOf(audioTrack.decoderConfig!));
  const wire = media.hasVideo === false ? [audio] : [video, audio];
  const origin = new ScriptedOrigin(wellBehaved(contentsOf(wire)));
  const open = openOvtSource({ dial: origin.dial, clock, logger: silentLogger, nodeId: "edge", recentMs });
  const aac = { objectType: 2, sampleRate: 48_000, channels: 2 };
  const bytesOf = ({ trackId: track, pts, dts, isKeyframe, data }: Sample): Buffer =>
    track === 0
      ? mediaBytes({ track, pts, dts, mediaType: 0, flag: isKeyframe ? 2 : 1, format: 1, data })
      : mediaBytes({
          track,
          pts,
          dts,
          mediaType: 1,
          flag: 2,
          format: 10,
          data: Buffer.concat([serializeAdtsHeader(aac, data.length), data]),
        });
  const push = (sample: Sample): void => {
    if (origin.asked.at(-1)?.application === "play") origin.connection.write(bytesOf(sample));
  };
  return { open, push, close: async () => origin.connections.forEach((connection) => connection.destroy()) };
}

/** A stream, an origin that has it, an edge that does not, and the time they share. */
class World {
  readonly clock = new ManualClock();
  readonly samples: readonly Sample[];
  guest!: LlHls;
  #origin!: Origin;
  #next = 0;

  constructor(media: Partial<SyntheticOptions>) {
    this.samples = syntheticSamples({ durationMs: 90_000, ...media });
  }

  async open(t: TestContext, origin: Origin): Promise<void> {
    this.#origin = origin;
    const node = await startLlHlsNode({
      open: (_url, options) => origin.open("ovt://origin:9000/app/stream", options),
      clock: this.clock,
      config: { segmentMs },
    });
    this.guest = node.guest;
    t.after(async () => {
      await node.close();
      await origin.close();
    });
  }

  /** Lets the media of a moment come, and everybody do what follows from it. */
  async step(): Promise<void> {
    this.clock.advance(stepMs);
    const timeMs = ({ trackId, dts }: Sample): number => dts / (trackId === 0 ? 90 : 48);
    for (; this.#next < this.samples.length; this.#next++) {
      if (timeMs(this.samples[this.#next]!) > this.clock.nowMs()) break;
      this.#origin.push(this.samples[this.#next]!);
    }
    for (let turns = 0; turns < 12; turns++) await turn();
  }

  async runUntil(isOver: () => boolean, limitMs: number): Promise<void> {
    for (const endMs = this.clock.nowMs() + limitMs; !isOver();) {
      assert.ok(this.clock.nowMs() < endMs, "over in time");
      await this.step();
    }
  }
}

/** The first viewer: what was answered, and when. */
class Viewer {
  /** Each answer that is no success, with the request. */
  readonly failures: string[] = [];
  /** Masters that said "not yet": 202, which players ask again after. */
  notYet = 0;
  masterMs = 0;
  hasPicture = false;
  firstPartMs = 0;
  isOver = false;
  readonly #world: World;
  readonly #beganMs: number;

  constructor(world: World) {
    this.#world = world;
    this.#beganMs = world.clock.nowMs();
  }

  async watch(): Promise<void> {
    try {
      let master = await this.#get("llhls.m3u8", [200, 202]);
      for (; master.status === 202; master = await this.#get("llhls.m3u8", [200, 202])) {
        this.notYet++;
        await new Promise<void>((resolve) => void this.#world.clock.after(1_000, resolve));
      }
      this.masterMs = this.#sinceBegin();
      this.hasPicture = master.text.includes("_video_");
      const lists = [...new Set(master.text.match(/chunklist_[^"\n]+/g))];
      assert.ok(lists.length > 0);
      await Promise.all(lists.map((list) => this.#playTrack(list)));
    } finally {
      this.isOver = true;
    }
  }

  #sinceBegin(): number {
    return this.#world.clock.nowMs() - this.#beganMs;
  }

  async #get(url: string, wanted: readonly number[] = [200]): Promise<AskedExchange> {
    const asked = await ask(this.#world.guest, url).answered;
    if (asked.status === 302) return this.#get(asked.headers[asked.headers.indexOf("Location") + 1]!, wanted);
    if (!wanted.includes(asked.status!)) this.failures.push(`${asked.status} for ${url}`);
    return asked;
  }

  async #playTrack(list: string): Promise<void> {
    let playlist = readMediaPlaylist((await this.#get(list)).text);
    const init = await this.#get(playlist.segments.at(-1)!.mapUri!);
    assert.ok(readInit(init.bytes).hasMvex);
    await this.#loadAll(playlist, new Set());
    this.firstPartMs ||= this.#sinceBegin();
    const loaded = new Set(urisOf(playlist));
    let next = nextOf(playlist);
    for (let seconds = 0; seconds < playedSeconds; next = nextOf(playlist)) {
      const hinted = playlist.hint === undefined ? undefined : this.#get(playlist.hint);
      const reload = await this.#get(`${list}&_HLS_msn=${next.msn}&_HLS_part=${next.part}`);
      playlist = readMediaPlaylist(reload.text);
      await hinted;
      seconds += await this.#loadAll(playlist, loaded);
    }
  }

  /** Loads what was not loaded yet of all that a list offers. @returns seconds of parts that came */
  async #loadAll(playlist: SeenPlaylist, loaded: Set<string>): Promise<number> {
    const parts = new Map(
      playlist.segments.flatMap((segment) => segment.parts.map((part) => [part.uri, part.seconds])),
    );
    let seconds = 0;
    for (const uri of urisOf(playlist)) {
      if (loaded.has(uri)) continue;
      loaded.add(uri);
      assert.ok((await this.#get(uri)).bytes.length > 0, uri);
      seconds += parts.get(uri) ?? 0;
    }
    return seconds;
  }
}

/** Everything that a list offers, newest first, as a player that begins at its end does. */
const urisOf = ({ segments }: SeenPlaylist): string[] =>
  segments
    .filter(({ isGap }) => !isGap)
    .flatMap(({ uri, parts }) => [...(uri === undefined ? [] : [uri]), ...parts.map((part) => part.uri)])
    .reverse();

function nextOf({ segments }: SeenPlaylist): { msn: number; part: number } {
  const last = segments.at(-1)!;
  return last.uri === undefined ? { msn: last.msn, part: last.parts.length } : { msn: last.msn + 1, part: 0 };
}

async function playCold(t: TestContext, kind: Kind, origin: typeof hearthOrigin): Promise<Viewer> {
  const world = new World(kind.media);
  await world.open(t, await origin(world.clock, kind.media));
  await world.runUntil(() => world.clock.nowMs() >= kind.ranMs, 60_000);
  const viewer = new Viewer(world);
  const watching = viewer.watch();
  watching.catch(() => {});
  await world.runUntil(() => viewer.isOver, 60_000);
  await watching;
  t.diagnostic(
    `master after ${viewer.masterMs} ms, first part after ${viewer.firstPartMs} ms, ${viewer.notYet} times not yet`,
  );
  return viewer;
}

for (const [name, kind] of Object.entries(kinds)) {
  test(`the first viewer of a cold edge gets no error: behind a Hearth origin, ${name}`, async (t) => {
    const { failures, notYet, masterMs, firstPartMs } = await playCold(t, kind, hearthOrigin);
    assert.deepEqual(failures, []);
    assert.equal(notYet, 0);
    if (kind.ranMs > 0)
      assert.ok(masterMs <= 500 && firstPartMs <= 700, "what the origin remembers is enough to begin");
  });

  test(`the first viewer of a cold edge gets no error: behind an OvenMediaEngine origin, ${name}`, async (t) => {
    const { failures, hasPicture, notYet } = await playCold(t, kind, omeOrigin);
    assert.deepEqual(failures, []);
    const isSoundAlone = kind.media.hasVideo === false || kind.isFarApart === true;
    assert.equal(hasPicture, !isSoundAlone, "sound alone is given only where no picture comes for long");
    assert.ok(kind.isFarApart ? notYet <= 1 : notYet === 0, "only a stream that is long in coming is not there yet");
  });
}
