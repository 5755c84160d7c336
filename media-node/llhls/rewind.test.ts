import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { applyDelta, knownOf } from "../../infra/hls-check/apply-delta.ts";
import { readMediaPlaylist } from "../../infra/hls-check/playlist-reader.ts";
import { FakeSource } from "../../test/support/fake-source.ts";
import { startLlHlsNode, type LlHlsNode } from "../../test/support/llhls-node.ts";
import { audioTrack, describe, syntheticSamples, videoTrack } from "../../test/support/synthetic-media.ts";
import { until } from "../../test/support/until.ts";
import { parseWebVtt, serializeCueSample } from "../codecs/webvtt.ts";
import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import { ManualClock } from "../time/manual-clock.ts";

const subtitleTrack: Track = {
  id: 2,
  kind: "subtitle",
  codec: "webvtt",
  name: "subtitle",
  timescale: 1_000,
  bitrate: 0,
  subtitle: { label: "English", isDefault: false, isAutoSelect: false, isForced: false },
};
const ticksPerMs = [90, 48, 1];
const timeMs = ({ trackId, dts }: Sample): number => dts / ticksPerMs[trackId]!;

/** Every 3 s one that is shown for 5 s: across segments, and beside the next one. */
const cues = Array.from({ length: 40 }, (_, index): Sample => {
  const times = { pts: index * 3_000 + 500, dts: index * 3_000 + 500, duration: 5_000 };
  return { trackId: 2, ...times, isKeyframe: true, data: serializeCueSample({ settings: "", text: `cue ${index}` }) };
});
const samples = [...syntheticSamples({ durationMs: 120_000 }), ...cues].sort((a, b) => timeMs(a) - timeMs(b));
const kinds = ["video", "audio", "subtitle"] as const;
type Kind = (typeof kinds)[number];
const plain = { headers: { "accept-encoding": "identity" } };

/** An edge that keeps 40 s, fed by hand. */
class Edge {
  readonly clock = new ManualClock();
  readonly source = new FakeSource(describe([videoTrack, audioTrack, subtitleTrack]));
  readonly folder: string;
  node!: LlHlsNode;
  /** Every segment that was ever live, with its bytes. */
  readonly seen = new Map<string, Buffer>();
  #at = 0;
  #playlists: string[] = [];

  constructor(folder: string) {
    this.folder = folder;
  }

  static async open(t: TestContext, options: { fromMs?: number; isDefault?: boolean; folder?: string } = {}) {
    const { fromMs = 0, isDefault = true } = options;
    const made = await mkdtemp(join(tmpdir(), "hearth-rewind-test-"));
    const edge = new Edge(options.folder ?? made);
    const rewind = { folder: edge.folder, windowMs: 40_000, isDefault };
    const config = { segmentCount: 4, rewind };
    edge.node = await startLlHlsNode({ open: async () => edge.source, clock: edge.clock, config });
    t.after(async () => {
      await edge.node.close();
      await rm(made, { recursive: true, force: true });
    });
    edge.#at = samples.findIndex((sample) => timeMs(sample) >= fromMs && sample.trackId === 0 && sample.isKeyframe);
    const answer = fetch(edge.url("llhls.m3u8"));
    await until("the source to be started", 5_000, () => edge.source.sink !== undefined);
    // An origin remembers the cues that are still shown.
    for (const cue of cues) if (cue.pts < fromMs && cue.pts + cue.duration > fromMs) edge.source.sink!.onSample(cue);
    await edge.feed(fromMs + 6_200);
    // Nothing more is expected of what an origin remembers.
    edge.clock.advance(200);
    edge.#playlists = (await (await answer).text()).match(/chunklist_[^"\n]+/g) ?? [];
    assert.equal(new Set(edge.#playlists).size, kinds.length);
    return edge;
  }

  url(file: string): string {
    return `${this.node.baseUrl}/app/stream/${file}`;
  }

  async feed(untilMs: number): Promise<void> {
    while (this.#at < samples.length && timeMs(samples[this.#at]!) <= untilMs) {
      this.source.sink!.onSample(samples[this.#at++]!);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  /** Plays on, and takes every segment while it is live. */
  async play(fromMs: number, untilMs: number): Promise<void> {
    for (let ms = fromMs; ms <= untilMs; ms += 2_000) {
      await this.feed(ms);
      for (const kind of kinds) {
        for (const name of segmentsIn(await this.text(kind, "&_HLS_rewind=NO"))) {
          if (!this.seen.has(name)) this.seen.set(name, await this.bytes(name));
        }
      }
    }
  }

  async text(kind: Kind, query = ""): Promise<string> {
    const uri = this.#playlists.find((each) => each.includes(kind))!;
    return (await fetch(this.url(`${uri}${query}`), plain)).text();
  }

  async bytes(name: string): Promise<Buffer> {
    const response = await fetch(this.url(name));
    assert.equal(response.status, 200, name);
    return Buffer.from(await response.arrayBuffer());
  }

  /** Resolves when all segments that can be rewound to are files. */
  async written(): Promise<void> {
    await until("all segments to be on the disk", 5_000, async () => {
      const [own] = await readdir(this.folder);
      const files = (await readdir(join(this.folder, own!))).filter((name) => name !== "alive");
      const sizes = await Promise.all(files.map(async (name) => (await stat(join(this.folder, own!, name))).size));
      return sizes.reduce((sum, size) => sum + size, 0) === this.node.guest.stats.rewind.bytes;
    });
  }
}

const segmentsIn = (text: string): string[] => text.match(/^seg_.*$/gm) ?? [];
const sequenceOf = (text: string): number => Number(/MEDIA-SEQUENCE:(\d+)/.exec(text)![1]);

test("rewinding lists the whole window, and serves every segment byte for byte as it was live", async (t) => {
  const edge = await Edge.open(t);
  await edge.play(8_400, 80_400);
  await edge.written();
  for (const kind of kinds) {
    const all = segmentsIn(await edge.text(kind, "&_HLS_rewind=YES"));
    const live = segmentsIn(await edge.text(kind, "&_HLS_rewind=NO"));
    assert.ok(live.length >= 4 && live.length <= 8, `${live.length} live`);
    assert.equal(all.length, 20, "40 s of segments of 2 s");
    assert.deepEqual(all.slice(-live.length), live);
    for (const name of all) assert.deepEqual(await edge.bytes(name), edge.seen.get(name), name);
  }
  assert.equal(edge.node.guest.stats.rewind.lost, 0);
});

test("who rewinds has the cues that were shown then, without parts and beside the picture's segments", async (t) => {
  const edge = await Edge.open(t);
  await edge.play(8_400, 60_400);
  await edge.written();
  for (const query of ["", "&_HLS_legacy=YES", "&_HLS_legacy=YES&_HLS_rewind=NO"]) {
    const [video, text] = await Promise.all([edge.text("video", query), edge.text("subtitle", query)]);
    assert.doesNotMatch(text, /EXT-X-MAP/);
    assert.equal(/EXT-X-PART/.test(text), query === "", query);
    const datesIn = (list: string): string[] => list.match(/^#EXT-X-PROGRAM-DATE-TIME.*$/gm) ?? [];
    assert.deepEqual([sequenceOf(text), datesIn(text)], [sequenceOf(video), datesIn(video)], query);
    const lengths = (list: string): string[] => list.match(/^#EXTINF.*$/gm) ?? [];
    assert.deepEqual(lengths(text), lengths(video), query);
    const names = segmentsIn(text);
    assert.ok(names.length >= 4 && names.every((name) => name.endsWith(".vtt")));
    for (const [index, name] of names.entries()) {
      const startMs = Date.parse(datesIn(text)[index]!.slice("#EXT-X-PROGRAM-DATE-TIME:".length));
      const endMs = startMs + 1_000 * Number(lengths(text)[index]!.match(/[\d.]+/)![0]);
      const shown = cues.filter(({ pts, duration }) => pts < endMs && pts + duration > startMs);
      const written = parseWebVtt(await edge.bytes(name)).cues;
      assert.deepEqual(
        written.map((cue) => [cue.startMs, cue.endMs, cue.text]),
        shown.map(({ pts, duration }) => [pts, pts + duration, `cue ${(pts - 500) / 3_000}`]),
        `${name} ${query}`,
      );
    }
  }
  const [oldest] = segmentsIn(await edge.text("subtitle"));
  const answer = await fetch(edge.url(oldest!), plain);
  assert.deepEqual(
    [answer.headers.get("content-type"), answer.headers.get("cache-control")],
    ["text/vtt", "public, max-age=3600, immutable"],
  );
  const delta = await edge.text("subtitle", "&_HLS_skip=YES");
  const skipped = Number(/SKIPPED-SEGMENTS=(\d+)/.exec(delta)![1]);
  assert.deepEqual(segmentsIn(await edge.text("subtitle")).slice(skipped), segmentsIn(delta));
});

test("a request that does not say gets the window that DefaultQueryString names; the master passes a wish on", async (t) => {
  const yes = await Edge.open(t);
  const no = await Edge.open(t, { isDefault: false });
  for (const edge of [yes, no]) await edge.feed(40_000);
  assert.equal(
    segmentsIn(await yes.text("video")).length,
    segmentsIn(await yes.text("video", "&_HLS_rewind=yes")).length,
  );
  assert.equal(
    segmentsIn(await no.text("video")).length,
    segmentsIn(await yes.text("video", "&_HLS_rewind=NO")).length,
  );
  const master = await (await fetch(yes.url("llhls.m3u8?_HLS_rewind=no"))).text();
  assert.match(master, /chunklist_0_video_\w+_llhls\.m3u8\?session=[^&]+&_HLS_rewind=NO\n/);
  assert.match(master, /"chunklist_2_subtitle_\w+_llhls\.m3u8\?session=[^&]+&_HLS_rewind=NO"\n/);
});

test("a delta update counts what it leaves out of the window; legacy lists whole segments of all of it", async (t) => {
  const edge = await Edge.open(t);
  await edge.feed(50_500);
  const full = await edge.text("video");
  const delta = await edge.text("video", "&_HLS_skip=YES");
  const skipped = Number(/SKIPPED-SEGMENTS=(\d+)/.exec(delta)![1]);
  // Six target durations of 4 s stay.
  assert.equal(segmentsIn(full).length - skipped, segmentsIn(delta).length);
  assert.ok(segmentsIn(delta).length >= 12 && segmentsIn(delta).length <= 13);
  assert.deepEqual(segmentsIn(full).slice(skipped), segmentsIn(delta));
  assert.equal(sequenceOf(full), sequenceOf(delta));
  const legacy = await edge.text("video", "&_HLS_legacy=YES");
  assert.deepEqual(segmentsIn(legacy), segmentsIn(full));
  assert.doesNotMatch(legacy, /EXT-X-PART/);
});

test("a delta applied to an older list is the full one where the list rewinds to what is on the disk", async (t) => {
  const edge = await Edge.open(t);
  await edge.feed(50_500);
  for (let ms = 52_500; ms <= 96_500; ms += 4_000) {
    const older = new Map(await Promise.all(kinds.map(async (kind) => [kind, await edge.text(kind)] as const)));
    await edge.feed(ms);
    for (const kind of kinds) {
      const full = readMediaPlaylist(await edge.text(kind));
      const delta = readMediaPlaylist(await edge.text(kind, "&_HLS_skip=v2"));
      assert.ok(delta.skipped >= 8, `${delta.skipped} skipped`);
      assert.deepEqual(applyDelta(readMediaPlaylist(older.get(kind)!), delta), knownOf(full), `${kind} at ${ms} ms`);
    }
  }
});

test("edges list and serve the same of what both have; of what one never had, it says 404 and does not list it", async (t) => {
  const first = await Edge.open(t);
  const second = await Edge.open(t, { fromMs: 20_000 });
  for (const edge of [first, second]) await edge.feed(44_500);
  await Promise.all([first.written(), second.written()]);
  for (const kind of ["video", "subtitle"] as const) {
    const [a, b] = await Promise.all([first.text(kind), second.text(kind)]);
    assert.ok(sequenceOf(b) > sequenceOf(a));
    // From the second's first segment on, the text is the same.
    const from = b.slice(b.indexOf("#EXT-X-PROGRAM-DATE-TIME"));
    assert.ok(a.includes(from));
    for (const name of segmentsIn(b)) assert.deepEqual(await second.bytes(name), await first.bytes(name), name);
    const unknown = segmentsIn(a).find((name) => !segmentsIn(b).includes(name))!;
    const response = await fetch(second.url(unknown));
    assert.deepEqual([response.status, response.headers.get("cache-control")], [404, "max-age=1"]);
  }
});

test("HEAD, ranges and what lies outside are answered from the disk as from memory", async (t) => {
  const edge = await Edge.open(t);
  await edge.play(8_000, 50_000);
  await edge.written();
  const [name] = segmentsIn(await edge.text("video"));
  const whole = edge.seen.get(name!)!;
  const head = await fetch(edge.url(name!), { method: "HEAD" });
  assert.deepEqual(
    [head.status, head.headers.get("content-length"), head.headers.get("content-type"), (await head.text()).length],
    [200, String(whole.length), "video/mp4", 0],
  );
  assert.equal(head.headers.get("cache-control"), "public, max-age=3600, immutable");
  const part = await fetch(edge.url(name!), { headers: { range: "bytes=100-299" } });
  assert.deepEqual([part.status, part.headers.get("content-range")], [206, `bytes 100-299/${whole.length}`]);
  assert.deepEqual(Buffer.from(await part.arrayBuffer()), whole.subarray(100, 300));
  const beyond = await fetch(edge.url(name!), { headers: { range: "bytes=99999999-" } });
  assert.equal(beyond.status, 416);
});

test("the files go when the stream goes, an ended one after a minute", async (t) => {
  const edge = await Edge.open(t);
  await edge.feed(30_000);
  await edge.written();
  edge.source.sink!.onEnd({ code: "ended" });
  const text = await edge.text("video");
  assert.match(text, /#EXT-X-ENDLIST\n$/);
  assert.ok(segmentsIn(text).length > 10);
  assert.ok((await edge.bytes(segmentsIn(text)[0]!)).length > 0);
  for (let seconds = 0; seconds < 100; seconds++) edge.clock.advance(1_000);
  const [own] = await readdir(edge.folder);
  await until("the files to be gone", 5_000, async () => {
    return (await readdir(join(edge.folder, own!))).join() === "alive";
  });
  assert.deepEqual(edge.node.guest.stats.rewind, { bytes: 0, files: 0, lost: 0 });
});

test("where nothing can be written, live goes on and nothing older is listed", async (t) => {
  const edge = await Edge.open(t, { folder: "/dev/null/nowhere" });
  await edge.feed(40_000);
  await until("what could not be kept to be counted", 5_000, () => edge.node.guest.stats.rewind.files === 0);
  assert.ok(edge.node.guest.stats.rewind.lost > 10);
  await edge.feed(40_400);
  assert.deepEqual(segmentsIn(await edge.text("video")), segmentsIn(await edge.text("video", "&_HLS_rewind=NO")));
});
