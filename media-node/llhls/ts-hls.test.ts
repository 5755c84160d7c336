import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { FakeSource } from "../../test/support/fake-source.ts";
import { startLlHlsNode, type LlHlsNode, type LlHlsNodeOptions } from "../../test/support/llhls-node.ts";
import { audioTrack, describe, newStream, syntheticSamples, videoTrack } from "../../test/support/synthetic-media.ts";
import { until } from "../../test/support/until.ts";
import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import { silentLogger } from "../flow/logger.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { StreamOutput } from "./stream-output.ts";
import { SlicedWork } from "./sliced-work.ts";
import { parseTsFileName, serializeTsFileName } from "./ts-names.ts";
import { TsShelf } from "./ts-shelf.ts";

const samples = syntheticSamples({ durationMs: 60_000 });
const timeMs = ({ trackId, dts }: Sample): number => dts / (trackId === 0 ? 90 : 48);
const writing = { cacheControl: "", work: new SlicedWork(setImmediate) };
const mpegTs = { partMs: 2_000, mpegTs: { isPlainTaken: false } };

/** A node that publishes HLS version 3, and whose source delivers exactly as much as a test says. */
class Room {
  readonly clock = new ManualClock();
  node!: LlHlsNode;
  #source: FakeSource | undefined;
  readonly #samples: readonly Sample[];
  #fed: number;

  /** @param from the sample that the source begins with */
  constructor(from: number, media: readonly Sample[]) {
    this.#fed = from;
    this.#samples = media;
  }

  static async open(
    t: TestContext,
    options: Partial<LlHlsNodeOptions> = {},
    media: readonly Sample[] = samples,
    from = 0,
  ): Promise<Room> {
    const room = new Room(from, media);
    const open = async (): Promise<FakeSource> => (room.#source = new FakeSource(describe([videoTrack, audioTrack])));
    room.node = await startLlHlsNode({ open, clock: room.clock, config: mpegTs, ...options });
    t.after(() => room.node.close());
    return room;
  }

  feed(untilMs: number): void {
    while (timeMs(this.#samples[this.#fed]!) <= untilMs) this.#source!.sink!.onSample(this.#samples[this.#fed++]!);
  }

  fetch(file: string, init?: RequestInit): Promise<Response> {
    return fetch(`${this.node.baseUrl}/app/stream/${file}`, init);
  }

  /** Asks for the master, plays up to `untilMs`. */
  async play(untilMs: number, file = "ts:playlist.m3u8"): Promise<{ master: string; list: string }> {
    const answer = this.fetch(file);
    await until("the source to be started", 5_000, () => this.#source?.sink !== undefined);
    this.feed(untilMs);
    const master = await (await answer).text();
    return { master, list: /^medialist_.*$/m.exec(master)![0] };
  }
}

test("the first request is held until a segment is whole, and gets a master of version 3", async (t) => {
  const room = await Room.open(t);
  const answer = room.fetch("ts:playlist.m3u8");
  await until("a held request", 5_000, () => room.node.guest.stats.heldRequests === 1);
  room.feed(1_900);
  assert.equal(room.node.guest.stats.heldRequests, 1);
  room.feed(4_200);
  const response = await answer;
  assert.equal(response.headers.get("content-type"), "application/vnd.apple.mpegurl");
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
  assert.match(
    await response.text(),
    /^#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=\d+,AVERAGE-BANDWIDTH=\d+,CODECS="avc1.42c014,mp4a.40.2",RESOLUTION=320x180\nmedialist_0-1-[a-z0-9]{16}_hls.m3u8\?session=\S+\n$/,
  );
});

test("a stream that does not come in time is 202, as for LL-HLS", async (t) => {
  const room = await Room.open(t);
  const answer = room.fetch("ts:playlist.m3u8");
  await until("a held request", 5_000, () => room.node.guest.stats.heldRequests === 1);
  room.clock.advance(8_500);
  assert.equal((await answer).status, 202);
});

test("the media playlist lists whole segments with their numbers, times and bytes", async (t) => {
  const room = await Room.open(t);
  const { list, master } = await room.play(10_200);
  const response = await room.fetch(list);
  assert.equal(response.headers.get("cache-control"), "no-cache");
  const text = await response.text();
  assert.match(text, /^#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:1\n/);
  const entry = /#EXT-X-PROGRAM-DATE-TIME:(\S+)\n#EXTINF:2.000000,\n(seg_0-1-[a-z0-9]+_(\d+)_hls.ts)\n/g;
  const found = [...text.matchAll(entry)].map(([, time, uri, msn]) => ({ time, uri: uri!, msn: Number(msn) }));
  assert.deepEqual(
    found.map(({ msn }) => msn),
    [1, 2, 3, 4],
  );
  assert.equal(found[0]!.time, new Date(2_000).toISOString());
  assert.doesNotMatch(text, /EXT-X-(?:MAP|PART|SERVER-CONTROL|PRELOAD|ENDLIST)/);
  const peak = Number(/BANDWIDTH=(\d+)/.exec(master)![1]);
  for (const { uri } of found) {
    const segment = await room.fetch(uri);
    assert.equal(segment.headers.get("content-type"), "video/mp2t");
    assert.equal(segment.headers.get("cache-control"), "public, max-age=3600, immutable");
    const bytes = Buffer.from(await segment.arrayBuffer());
    assert.deepEqual([bytes.length % 188, bytes[0]], [0, 0x47]);
    assert.ok((bytes.length * 8) / 2 <= peak);
    const range = await room.fetch(uri, { headers: { Range: "bytes=188-375" } });
    assert.equal(range.status, 206);
    assert.ok(Buffer.from(await range.arrayBuffer()).equals(bytes.subarray(188, 376)));
  }
});

test("no segment is longer than the target duration, which is the same on every edge and at every moment", async (t) => {
  // Groups of pictures from a fifth of a second to three and a half.
  const keys = new Set([0, 5, 60, 148, 170, 172, 200, 275, 363, 370, 420, 500, 588, 640, 700, 780, 868, 900]);
  const uneven = syntheticSamples({ durationMs: 40_000, isKeyframe: (index) => keys.has(index) });
  const late = uneven.findIndex((sample) => timeMs(sample) >= 7_000);
  const rooms = [await Room.open(t, {}, uneven), await Room.open(t, {}, uneven, late)];
  const targets = new Set<string>();
  const durations = new Set<number>();
  for (const room of rooms) {
    const { list } = await room.play(16_000);
    for (let untilMs = 16_000; untilMs < 38_000; untilMs += 700) {
      room.feed(untilMs);
      const text = await (await room.fetch(list)).text();
      targets.add(/#EXT-X-TARGETDURATION:(.*)/.exec(text)![1]!);
      for (const [, duration] of text.matchAll(/#EXTINF:([\d.]+),/g)) durations.add(Number(duration));
    }
  }
  assert.deepEqual([...targets], ["4"]);
  // RFC 8216 §4.3.3.1: rounded to the nearest integer.
  assert.deepEqual(
    [...durations].filter((duration) => Math.round(duration) > 4),
    [],
  );
  assert.ok(Math.max(...durations) > 3 && Math.min(...durations) < 1.5, "segments were of many lengths");
});

test("who asks for ?format=ts gets it, also by the plain name where LL-HLS does not have it", async (t) => {
  const room = await Room.open(t);
  const { list } = await room.play(4_200, "playlist.m3u8?format=ts");
  assert.equal((await room.fetch(list)).status, 200);
  assert.equal((await room.fetch("ts%3Aplaylist.m3u8")).status, 200);
  assert.equal((await room.fetch("playlist.m3u8")).status, 404);
  assert.equal((await room.fetch("ts:other.m3u8")).status, 404);
  const alone = await Room.open(t, { config: { partMs: 2_000, mpegTs: { isPlainTaken: true } } });
  assert.match((await alone.play(4_200, "playlist.m3u8")).list, /^medialist_/);
});

test("LL-HLS leaves to MPEG-TS what is named as its own", async (t) => {
  const room = await Room.open(t, { config: {} });
  for (const file of [
    "ts:playlist.m3u8",
    "llhls.m3u8?format=ts",
    "medialist_0-1-key_hls.m3u8",
    "seg_0-1-key_1_hls.ts",
  ]) {
    assert.equal((await room.fetch(file)).status, 404, file);
  }
  assert.equal(room.node.guest.stats.streams, 0);
});

test("without the viewer's token there is no playlist, and nobody guesses a segment's name", async (t) => {
  const room = await Room.open(t, { secret: "s3cret" });
  const { list } = await room.play(6_200);
  const [bare] = list.split("?");
  assert.equal((await room.fetch(bare!)).status, 401);
  assert.equal((await room.fetch(`${bare}?session=forged`)).status, 401);
  const text = await (await room.fetch(list)).text();
  const segment = /^seg_.*$/m.exec(text)![0];
  assert.equal((await room.fetch(segment)).status, 200);
  const guessed = segment.replace(/-[a-z0-9]{16}_/, `-${"0".repeat(16)}_`);
  assert.equal((await room.fetch(guessed)).status, 404);
  const refused = await Room.open(t, { admit: async () => ({ isAdmitted: false, status: 403, reason: "no" }) });
  assert.equal((await refused.fetch("ts:playlist.m3u8")).status, 403);
});

test("a viewer whose requests go to two edges has the same name at both, as a viewer of HLS version 3", async (t) => {
  const rooms = await Promise.all([1, 2].map(() => Room.open(t, { secret: "s3cret" })));
  const [played] = await Promise.all(rooms.map((room) => room.play(6_200)));
  const { list } = played!;
  const name = { vhost: "default", app: "app", stream: "stream" };
  const seen = await Promise.all(
    rooms.map(async (room) => {
      assert.equal((await room.fetch(list)).status, 200);
      return room.node.hub.holders(name).map(({ protocol, holder: { id } }) => `${protocol} ${id}`);
    }),
  );
  const [first, second] = seen;
  assert.deepEqual([first!.length, second!.length], [1, 2], "who came by the second master counts there, too");
  assert.ok(second!.includes(first![0]!) && first![0]!.startsWith("hls "), String(seen));
});

test("a segment that another edge joined in its middle leads to the whole one; what never was is 404", async (t) => {
  const room = await Room.open(t);
  const { list } = await room.play(8_200);
  const segment = /^seg_.*_1_hls.ts$/m.exec(await (await room.fetch(list)).text())![0];
  const marked = segment.replace(/_(\d+)_hls/, "-1a_$1_hls");
  const moved = await room.fetch(marked, { redirect: "manual" });
  assert.deepEqual([moved.status, moved.headers.get("location")], [302, segment]);
  assert.equal((await room.fetch(segment.replace(/_(\d+)_hls/, "_99_hls"))).status, 404);
  assert.equal((await room.fetch(segment.replace("seg_0-1", "seg_1-0"))).status, 404);
  assert.equal((await room.fetch(segment.replace("seg_0-1", "seg_0-7"))).status, 404);
});

/** What an edge lists and writes for these tracks. */
function shelfOf(tracks: readonly Track[], media: readonly Sample[], onFed: (output: StreamOutput) => void = () => {}) {
  const stream = newStream(tracks);
  const options = { segmentMs: 2_000, partMs: 2_000, segmentCount: 7, streamKey: "key", logger: silentLogger };
  const output = new StreamOutput(stream, { ...options, packaging: "mpegts", onProgress: () => {} });
  output.start();
  for (const sample of media) stream.publish(sample);
  onFed(output);
  stream.close({ code: "end" });
  const shelf = new TsShelf(writing, 4);
  const variant = shelf.variants.of(output, output.track(0), output.track(1));
  return { output, variant, text: shelf.media(output, variant).plain.toString() };
}

test("a segment that an edge which is ahead lists already is waited for", async (t) => {
  const [ahead, behind] = await Promise.all([1, 2].map(() => Room.open(t)));
  const [{ list }] = await Promise.all([ahead!.play(6_200), behind!.play(5_700)]);
  const segment = /^seg_.*_2_hls\.ts$/m.exec(await (await ahead!.fetch(list)).text())![0];
  const answer = behind!.fetch(segment);
  await until("a held request", 5_000, () => behind!.node.guest.stats.heldRequests === 1);
  behind!.feed(6_200);
  const bytes = async (response: Response): Promise<Buffer> => Buffer.from(await response.arrayBuffer());
  assert.deepEqual(await bytes(await answer), await bytes(await ahead!.fetch(segment)));
  assert.equal((await behind!.fetch(segment.replace("_2_hls", "_4_hls"))).status, 404);
});

test("a source without a moment's media is a gap, and who asks for it is led on", () => {
  const media = samples.filter(
    (sample) => timeMs(sample) < 12_000 && !(timeMs(sample) >= 4_000 && timeMs(sample) < 8_000),
  );
  const { variant, text } = shelfOf([videoTrack, audioTrack], media);
  assert.match(text, /#EXT-X-GAP\n#EXTINF:2\.000000,\nseg_0-1-key_2_hls\.ts/);
  const gap = { kind: "ts-segment", videoId: 0, audioId: 1, key: "key", msn: 2 } as const;
  assert.deepEqual(new TsShelf(writing, 4).find(variant, gap), { uri: "seg_0-1-key_4_hls.ts" });
  assert.match(text, /#EXT-X-ENDLIST\n$/);
});

test("what does not continue is marked, with the next number and its own parameter sets", () => {
  const before = samples.filter((sample) => timeMs(sample) < 6_000);
  const after = samples.filter((sample) => timeMs(sample) >= 6_000 && timeMs(sample) < 12_000);
  const { text } = shelfOf([videoTrack, audioTrack], before, (output) => {
    output.onDescription(describe([videoTrack, audioTrack]), true);
    for (const sample of after) output.onSample(sample, sample.trackId === 0 ? videoTrack : audioTrack);
  });
  const numbers = [...text.matchAll(/_(\d+)_hls\.ts$/gm)].map(([, msn]) => Number(msn));
  assert.deepEqual(numbers, [0, 1, 2, 3, 4, 5]);
  assert.match(
    text,
    /#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:\S+:06\.000Z\n#EXTINF:2\.000000,\nseg_0-1-key-\w+_3_hls/,
  );
  assert.equal([...text.matchAll(/DISCONTINUITY\n/g)].length, 1);
});

test("a segment is written in slices, of which one is done in a turn, and once however many ask", async () => {
  const data = new Uint8Array(100_000).fill(0x55);
  data.set([0, 0, 0, 1, 0x41]);
  const media = samples
    .filter((sample) => timeMs(sample) < 6_000)
    .map((sample) => (sample.trackId === 0 && !sample.isKeyframe ? { ...sample, data } : sample));
  const { output } = shelfOf([videoTrack, audioTrack], media);
  const turns: (() => void)[] = [];
  const sliced = new TsShelf({ cacheControl: "", work: new SlicedWork((next) => turns.push(next)) }, 4);
  const [first, second] = sliced.variants.of(output, output.track(0), output.track(1)).segments;
  const written = Promise.all([first!.file(), first!.file(), second!.file()]);
  let count = 0;
  for (let next = turns.shift(); next; next = turns.shift()) {
    assert.equal(turns.length, 0);
    next();
    count++;
  }
  const [one, same, other] = await written;
  assert.equal(one, same);
  // Two pictures of 100 kB are more than a slice holds.
  assert.ok(count > (one.size + other.size) / 250_000, `${count} slices`);
  assert.deepEqual(one.pieces, (await shelfOf([videoTrack, audioTrack], media).variant.segments[0]!.file()).pieces);
});

test("Opus is left out, and MP3 is let in", async () => {
  const media = samples.filter((sample) => timeMs(sample) < 6_000);
  const { decoderConfig: _none, ...plain } = audioTrack;
  const opus = shelfOf([videoTrack, { ...plain, codec: "opus" }], media);
  assert.deepEqual(
    opus.output.tracks.map(({ type }) => type),
    ["video"],
  );
  assert.equal(opus.variant.codecs, "avc1.42c014");
  const mp3 = shelfOf([videoTrack, { ...plain, codec: "mp3" }], media);
  assert.equal(mp3.variant.codecs, "avc1.42c014,mp4a.40.34");
  assert.equal((await mp3.variant.segments[1]!.file()).size % 188, 0);
});

test("names are read as they are written, and nothing else is", () => {
  const none = new URLSearchParams();
  for (const variant of [
    { videoId: 0, audioId: 1, key: "abc" },
    { videoId: undefined, audioId: 12, key: "abc-1z" },
    { videoId: 3, audioId: undefined, key: "abc" },
  ]) {
    for (const name of [
      { kind: "ts-media", ...variant } as const,
      { kind: "ts-segment", ...variant, msn: 886_000_000 } as const,
    ]) {
      assert.deepEqual(parseTsFileName(serializeTsFileName(name), none, false), name);
    }
  }
  for (const file of [
    "seg_0-1-abc_hls.ts",
    "medialist_0-1-abc_5_hls.m3u8",
    "llhls.m3u8",
    "ts:",
    `ts:${"a".repeat(300)}.m3u8`,
  ]) {
    assert.equal(parseTsFileName(file, none, true), undefined, file);
  }
});
