import assert from "node:assert/strict";
import { once } from "node:events";
import { get, request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { test, type TestContext } from "node:test";
import { gunzipSync } from "node:zlib";
import { FakeSource } from "../../test/support/fake-source.ts";
import { startLlHlsNode, type LlHlsNode, type LlHlsNodeOptions } from "../../test/support/llhls-node.ts";
import { audioTrack, describe, syntheticSamples, videoTrack } from "../../test/support/synthetic-media.ts";
import { until } from "../../test/support/until.ts";
import { NoSuchStream } from "../core/source.ts";
import { ManualClock } from "../time/manual-clock.ts";

const samples = syntheticSamples({ durationMs: 120_000 });
const timeMs = ({ trackId, dts }: { trackId: number; dts: number }): number => dts / (trackId === 0 ? 90 : 48);

/** After this long nothing more is expected of what an origin remembers. */
const settleMs = 200;

/** A node whose source delivers exactly as much as a test says. */
class Room {
  readonly clock = new ManualClock();
  readonly sources: FakeSource[] = [];
  node!: LlHlsNode;
  #fed = 0;

  static async open(t: TestContext, options: Partial<LlHlsNodeOptions> = {}): Promise<Room> {
    const room = new Room();
    const open = async (): Promise<FakeSource> => {
      const source = new FakeSource(describe([videoTrack, audioTrack]));
      room.sources.push(source);
      return source;
    };
    room.node = await startLlHlsNode({ open, clock: room.clock, ...options });
    t.after(() => room.node.close());
    return room;
  }

  /** Delivers the stream up to this media time. */
  feed(untilMs: number): void {
    while (this.#fed < samples.length && timeMs(samples[this.#fed]!) <= untilMs) {
      this.sources.at(-1)!.sink!.onSample(samples[this.#fed++]!);
    }
  }

  url(file: string): string {
    return `${this.node.baseUrl}/app/stream/${file}`;
  }

  fetch(file: string, init?: RequestInit): Promise<Response> {
    return fetch(this.url(file), init);
  }

  async held(count: number): Promise<void> {
    await until(`${count} held requests`, 5_000, () => this.node.guest.stats.heldRequests === count);
  }

  /** Opens the stream and plays it up to `untilMs`; resolves with the URIs of the video and audio playlists. */
  async play(untilMs: number): Promise<{ video: string; audio: string; master: string }> {
    const answer = this.fetch("llhls.m3u8");
    await until("the source to be started", 5_000, () => this.sources.at(-1)?.sink !== undefined);
    this.feed(untilMs);
    this.clock.advance(settleMs);
    const master = await (await answer).text();
    return {
      master,
      video: /^chunklist_0_video.*$/m.exec(master)![0],
      audio: /URI="(chunklist_1_audio[^"]*)"/.exec(master)![1]!,
    };
  }
}

test("the first request is held until there is something to play", async (t) => {
  const room = await Room.open(t);
  const answer = room.fetch("llhls.m3u8");
  await room.held(1);
  room.feed(1_900);
  assert.equal(room.node.guest.stats.heldRequests, 1);
  room.feed(2_200);
  room.clock.advance(settleMs);
  const response = await answer;
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "application/vnd.apple.mpegurl");
  assert.match(await response.text(), /CODECS="avc1.42c014,mp4a.40.2",RESOLUTION=320x180,AUDIO="audio_aac"/);
});

test("a stream that does not come in time is 202 for the master, 404 for a name nobody has", async (t) => {
  const room = await Room.open(t);
  const answer = room.fetch("llhls.m3u8");
  await room.held(1);
  room.clock.advance(8_500);
  assert.equal((await answer).status, 202);
  const unknown = await fetch(`${room.node.baseUrl}/elsewhere/stream/llhls.m3u8`);
  assert.equal(unknown.status, 404);
  const denied = await Room.open(t, { open: () => Promise.reject(new NoSuchStream("404")) });
  assert.equal((await denied.fetch("llhls.m3u8")).status, 404);
  const failing = await Room.open(t, { open: () => Promise.reject(new Error("refused")) });
  const unavailable = await failing.fetch("llhls.m3u8");
  assert.deepEqual([unavailable.status, unavailable.headers.get("retry-after")], [503, "1"]);
});

test("a guest that closes while a stream is being pulled lets go of it", async (t) => {
  const pulled = Promise.withResolvers<FakeSource>();
  let asked = 0;
  const room = await Room.open(t, { open: () => (asked++, pulled.promise) });
  const answer = room.fetch("llhls.m3u8");
  await until("it is pulled", 5_000, () => asked > 0);
  await room.node.guest.close({ code: "shutdown" });
  pulled.resolve(new FakeSource(describe([videoTrack, audioTrack])));
  assert.equal((await answer).status, 503);
  assert.equal(room.node.guest.stats.streams, 0);
  assert.deepEqual(room.node.hub.list()[0]?.viewers, {});
  await room.node.hub.close({ code: "shutdown" });
  assert.equal(room.clock.pendingTimers, 0);
});

test("who waited for a first segment that is not whole yet is told what it will have, and waits again for its lists", async (t) => {
  const room = await Room.open(t, { config: { segmentMs: 10_000 } });
  const answer = room.fetch("llhls.m3u8");
  await room.held(1);
  room.feed(8_400);
  room.clock.advance(8_400);
  const response = await answer;
  assert.equal(response.status, 200);
  const master = await response.text();
  assert.match(master, /BANDWIDTH=\d{5,},AVERAGE-BANDWIDTH=\d{5,},CODECS="avc1.42c014,mp4a.40.2",RESOLUTION=320x180/);
  const list = room.fetch(/^chunklist_0_video.*$/m.exec(master)![0]);
  await room.held(1);
  room.feed(12_300);
  room.clock.advance(3_900);
  const listed = await list;
  assert.equal(listed.status, 200);
  const text = await listed.text();
  // It began here, and none of its lists begins with what others have.
  assert.doesNotMatch(text, /EXT-X-GAP/);
  assert.match(text, /#EXTINF:.*\nseg_0_0_video/);
});

test("sound is offered alone where no picture came in time", async (t) => {
  const room = await Room.open(t, { config: { segmentMs: 10_000 } });
  const answer = room.fetch("llhls.m3u8");
  await room.held(1);
  const { sink } = room.sources.at(-1)!;
  for (const sample of samples) if (sample.trackId === audioTrack.id && timeMs(sample) < 8_000) sink!.onSample(sample);
  room.clock.advance(8_100);
  assert.match(await (await answer).text(), /CODECS="mp4a.40.2"/);
});

test("a picture that came late is offered with its sound", async (t) => {
  const room = await Room.open(t, { config: { segmentMs: 10_000 } });
  const answer = room.fetch("llhls.m3u8");
  await room.held(1);
  const { sink } = room.sources.at(-1)!;
  for (const sample of samples) {
    if (timeMs(sample) > 18_000) break;
    if (sample.trackId === audioTrack.id || timeMs(sample) >= 7_000) sink!.onSample(sample);
  }
  room.clock.advance(8_100);
  const response = await answer;
  assert.equal(response.status, 200);
  assert.match(await response.text(), /CODECS="avc1.42c014,mp4a.40.2"/);
});

test("a stream without a codec that LL-HLS knows is 404 at once, and says what it has", async (t) => {
  const vp8 = { ...videoTrack, codec: "vp8" as const };
  const room = await Room.open(t, { open: async () => new FakeSource(describe([vp8])) });
  const answer = await room.fetch("llhls.m3u8");
  assert.equal(answer.status, 404);
  assert.match(await answer.text(), /vp8/);
});

test("what viewers were sent is counted", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(4_100);
  const before = room.node.guest.stats.egressBytes;
  const text = await (await room.fetch(video, { headers: { "accept-encoding": "identity" } })).text();
  assert.equal(room.node.guest.stats.egressBytes - before, text.length);
});

test("a playlist request waits for its part, and is answered with it", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(4_100);
  const [base] = video.split("?");
  const whole = await (await room.fetch(base!)).text();
  assert.match(whole, /PRELOAD-HINT:TYPE=PART,URI="part_0_2_0_/);
  const answer = room.fetch(`${base}?_HLS_msn=2&_HLS_part=1`);
  await room.held(1);
  room.feed(4_300);
  await room.held(1);
  room.feed(4_500);
  assert.match(await (await answer).text(), /part_0_2_1_video_[^,]*\n/);
});

test("asking for a whole segment waits for its end; a part after the last means the next segment's first", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(4_100);
  const segment = room.fetch(`${video}&_HLS_msn=2`);
  const beyond = room.fetch(`${video}&_HLS_msn=1&_HLS_part=10`);
  await room.held(2);
  room.feed(4_300);
  assert.match(await (await beyond).text(), /part_0_2_0_/);
  await room.held(1);
  room.feed(6_300);
  assert.match(await (await segment).text(), /seg_0_2_video/);
});

test("what can never be answered is refused at once, what is old is answered at once", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(4_100);
  const statusOf = async (query: string): Promise<number> => (await room.fetch(`${video}&${query}`)).status;
  for (const bad of ["_HLS_part=1", "_HLS_msn=x", "_HLS_msn=4", "_HLS_msn=2&_HLS_part=40", "_HLS_msn=3&_HLS_part=99"]) {
    assert.equal(await statusOf(bad), 400, bad);
  }
  assert.equal(await statusOf("_HLS_msn=0"), 200);
  assert.equal(await statusOf("_HLS_msn=1&_HLS_part=3"), 200);
  assert.equal(room.node.guest.stats.heldRequests, 0);
});

test("a part that does not come is 503 after the hold limit", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(4_100);
  const answer = room.fetch(`${video}&_HLS_msn=2&_HLS_part=0`);
  await room.held(1);
  room.clock.advance(8_500);
  assert.equal((await answer).status, 503);
});

test("a hinted part can be asked for before it exists, also when its segment ends first", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(5_900);
  const text = await (await room.fetch(video)).text();
  const [hint] = /part_0_2_9_video_\w+_llhls\.m4s/.exec(text)!;
  const early = room.fetch(hint);
  assert.equal((await room.fetch(hint.replace("2_9", "2_15"))).status, 404, "no edge is as far ahead");
  await room.held(1);
  const later = room.fetch(hint.replace("2_9", "2_11"));
  await room.held(2);
  room.feed(6_100);
  assert.equal((await later).status, 404, "the segment ended before it");
  const part = new Uint8Array(await (await early).arrayBuffer());
  assert.deepEqual(part, new Uint8Array(await (await room.fetch(hint)).arrayBuffer()));
  const alias = room.fetch(hint.replace("2_9", "2_10"));
  await room.held(1);
  room.feed(6_300);
  const first = await room.fetch(hint.replace("2_9", "3_0"));
  assert.deepEqual(await (await alias).arrayBuffer(), await first.arrayBuffer());
});

test("what an edge that is ahead lists already is waited for: its parts, the next segment's, and the segment", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(5_100);
  const [part] = /part_0_2_4_video_\w+_llhls\.m4s/.exec(await (await room.fetch(video)).text())!;
  const ahead = ["part_0_2_6", "part_0_3_0", "part_0_3_1"].map((name) => part.replace("part_0_2_4", name));
  const segment = part.replace("part_0_2_4", "seg_0_2");
  const answers = [...ahead, segment].map((name) => room.fetch(name));
  await room.held(4);
  room.feed(6_100);
  await room.held(2);
  room.feed(6_700);
  for (const [index, answer] of answers.entries()) assert.equal((await answer).status, 200, String(index));
  assert.equal((await room.fetch(segment.replace("seg_0_2", "seg_0_4"))).status, 404);
});

test("a segment is its parts, one after another; ranges and HEAD work", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(4_100);
  const text = await (await room.fetch(video)).text();
  const [segment] = /^seg_0_1_.*$/m.exec(text)!;
  const whole = Buffer.from(await (await room.fetch(segment)).arrayBuffer());
  const parts: Buffer[] = [];
  for (const [uri] of text.matchAll(/part_0_1_\d+_video_\w+_llhls\.m4s/g)) {
    parts.push(Buffer.from(await (await room.fetch(uri)).arrayBuffer()));
  }
  assert.equal(parts.length, 10);
  assert.ok(whole.equals(Buffer.concat(parts)));
  const range = await room.fetch(segment, { headers: { Range: "bytes=100-299" } });
  assert.deepEqual([range.status, range.headers.get("content-range")], [206, `bytes 100-299/${whole.length}`]);
  assert.ok(whole.subarray(100, 300).equals(Buffer.from(await range.arrayBuffer())));
  const stale = await room.fetch(segment, { headers: { Range: "bytes=100-299", "If-Range": '"of another"' } });
  assert.deepEqual([stale.status, (await stale.arrayBuffer()).byteLength], [200, whole.length]);
  const head = await room.fetch(segment, { method: "HEAD" });
  assert.equal(head.headers.get("content-length"), String(whole.length));
  assert.equal(head.headers.get("content-type"), "video/mp4");
  assert.match(head.headers.get("cache-control")!, /immutable/);
  assert.equal((await room.fetch(segment.replace(/_(\w{16})_/, "_0123456789abcdef_"))).status, 404);
});

test("playlists are compressed for who takes it, open to any page, and cached as long as they hold", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(4_100);
  const raw = await new Promise<IncomingMessage>((resolve) => {
    get(room.url(video), { headers: { "accept-encoding": "gzip", origin: "null" } }, resolve);
  });
  const body = Buffer.concat(await raw.toArray());
  assert.equal(raw.headers["content-encoding"], "gzip");
  assert.equal(raw.headers["access-control-allow-origin"], "*");
  assert.equal(raw.headers["access-control-allow-credentials"], undefined);
  const plain = await room.fetch(video, { headers: { "accept-encoding": "identity" } });
  assert.equal(gunzipSync(body).toString(), await plain.text());
  assert.equal(plain.headers.get("cache-control"), "no-cache");
  const [base] = video.split("?");
  const shared = await room.fetch(`${base}?_HLS_msn=1`);
  assert.equal(shared.headers.get("cache-control"), "max-age=24");
  const preflight = await room.fetch(video, { method: "OPTIONS" });
  assert.deepEqual(
    [preflight.status, preflight.headers.get("access-control-allow-methods")],
    [204, "OPTIONS, GET, HEAD"],
  );
  assert.equal((await room.fetch(video, { method: "POST" })).status, 405);
});

test("a delta leaves out what the client has, and together they are the full playlist", async (t) => {
  const room = await Room.open(t, { config: { segmentCount: 30 } });
  const { video } = await room.play(50_100);
  const full = (await (await room.fetch(video)).text()).split("\n");
  const delta = (await (await room.fetch(`${video}&_HLS_skip=YES`)).text()).split("\n");
  const at = delta.findIndex((line) => line.startsWith("#EXT-X-SKIP"));
  const skipped = Number(/SKIPPED-SEGMENTS=(\d+)/.exec(delta[at]!)![1]);
  assert.ok(skipped > 8, `${skipped} skipped`);
  const segmentEnds = full.flatMap((line, index) => (line.startsWith("seg_") ? [index] : []));
  const firstKept = segmentEnds[skipped - 1]! + 1;
  assert.deepEqual(delta.slice(at + 1), full.slice(firstKept));
  assert.deepEqual(delta.slice(0, at), full.slice(0, at));
});

test("parts are listed for the last five whole segments and the open one", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(20_500);
  const playlist = await (await room.fetch(video)).text();
  const wholes = [...playlist.matchAll(/^seg_0_(\d+)_/gm)].map(([, msn]) => Number(msn));
  const withParts = new Set([...playlist.matchAll(/EXT-X-PART:.*part_0_(\d+)_/g)].map(([, msn]) => Number(msn)));
  assert.ok(wholes.length > 6, `${wholes.length} segments`);
  assert.deepEqual([...withParts], [...wholes.slice(-5), wholes.at(-1)! + 1]);
});

test("legacy players get whole segments only", async (t) => {
  const room = await Room.open(t);
  await room.play(6_500);
  const master = await (await room.fetch("llhls.m3u8?_HLS_legacy=YES")).text();
  const unclear = await (await room.fetch("llhls.m3u8?_HLS_legacy=maybe")).text();
  assert.doesNotMatch(unclear, /_HLS_legacy/, "what says neither leaves the choice to the configuration");
  const [video] = /^chunklist_0_video.*$/m.exec(master)!;
  const text = await (await room.fetch(video)).text();
  assert.doesNotMatch(text, /PART|SERVER-CONTROL|PRELOAD/);
  assert.match(text, /seg_0_2_video/);
});

test("the end of the stream answers everybody at once and marks the list", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(4_100);
  const answer = room.fetch(`${video}&_HLS_msn=2&_HLS_part=5`);
  await room.held(1);
  await room.node.hub.close({ code: "test" });
  assert.match(await (await answer).text(), /seg_0_2_video.*\n#EXT-X-ENDLIST\n$/);
});

test("with a secret, children need the token that the master gave; another edge takes it too", async (t) => {
  const room = await Room.open(t, { secret: "s3cret" });
  const { video } = await room.play(4_100);
  const [base, query] = video.split("?");
  assert.equal((await room.fetch(base!)).status, 401);
  assert.equal((await room.fetch(`${base}?session=forged`)).status, 401);
  assert.equal((await room.fetch(video)).status, 200);
  const other = await Room.open(t, { secret: "s3cret" });
  const answer = other.fetch(`${base}?${query}`);
  await other.held(1);
  other.feed(4_100);
  other.clock.advance(settleMs);
  assert.equal((await answer).status, 200);
  const stranger = await Room.open(t, { secret: "another" });
  assert.equal((await stranger.fetch(video)).status, 404, "names differ where the secret does");
  assert.equal(stranger.sources.length, 0, "nothing is pulled for it");
});

test("who is not admitted gets no master and starts no pull", async (t) => {
  const admit = async () => ({ isAdmitted: false, status: 403, reason: "no" }) as const;
  const room = await Room.open(t, { admit });
  assert.equal((await room.fetch("llhls.m3u8")).status, 403);
  assert.equal(room.sources.length, 0);
});

test("a viewer whose policy ends is refused from then on, and the end is told once", async (t) => {
  let ended = 0;
  const room = await Room.open(t, {
    secretOf: () => "of the policy",
    admit: async () => ({ isAdmitted: true, endsAtMs: room.clock.wallMs() + 5_000, onEnd: () => void ended++ }),
  });
  const { video } = await room.play(4_100);
  room.clock.advance(3_000);
  assert.equal((await room.fetch(video)).status, 200);
  assert.equal((await room.fetch(video.split("?")[0]!)).status, 401, "a guarded stream needs the token");
  assert.equal(ended, 0);
  room.clock.advance(2_500);
  assert.equal((await room.fetch(video)).status, 401);
  assert.equal(ended, 1);
  room.clock.advance(60_000);
  assert.equal(ended, 1);
});

test("who watches goes on when its token grows old; nobody begins with an old one", async (t) => {
  const room = await Room.open(t, { secret: "s3cret", config: { sessionTtlMs: 5_000 } });
  const { video } = await room.play(4_100);
  const begun = await (await room.fetch("llhls.m3u8")).text();
  const neverUsed = /^chunklist_0_video.*$/m.exec(begun)![0];
  for (let at = 0; at < 8; at++) {
    room.clock.advance(2_000);
    assert.equal((await room.fetch(video)).status, 200);
  }
  room.clock.advance(11_000);
  for (const uri of [video, neverUsed]) {
    const refused = await room.fetch(uri);
    assert.deepEqual([refused.status, refused.headers.get("cache-control")], [401, "no-store"]);
    assert.deepEqual(await refused.json(), { error: "this viewer's time is over" });
  }
  const stranger = await room.fetch(video.replace(/session=./, "session=~"));
  assert.deepEqual(await stranger.json(), { error: "this is for viewers whom the master playlist named" });
});

test("a viewer whose time is over goes on with a new token where it was", async (t) => {
  const room = await Room.open(t, {
    secretOf: () => "of the policy",
    admit: async () => ({ isAdmitted: true, endsAtMs: room.clock.wallMs() + 5_000 }),
  });
  const { video } = await room.play(4_100);
  const before = await (await room.fetch(`${video}&_HLS_msn=1&_HLS_part=0`)).text();
  room.clock.advance(4_000);
  const master = await (await room.fetch("llhls.m3u8")).text();
  const renewed = /^chunklist_0_video.*$/m.exec(master)![0];
  assert.equal(renewed.split("?")[0], video.split("?")[0], "but for the token all addresses stay");
  const next = `&_HLS_msn=2&_HLS_part=1`;
  const heldOver = room.fetch(`${video}${next}`);
  await room.held(1);
  room.clock.advance(2_000);
  assert.equal((await room.fetch(`${video}${next}`)).status, 401);
  const answer = room.fetch(`${renewed}${next}`);
  await room.held(2);
  room.feed(4_500);
  assert.equal((await heldOver).status, 401, "it ended while it waited");
  const after = await (await answer).text();
  const partsOf = (text: string): string[] => text.match(/part_0_[^"]+/g) ?? [];
  assert.ok(partsOf(before).every((part) => after.includes(part)) && partsOf(after).length > partsOf(before).length);
});

test("a player that asks once a segment is there between two requests, and its stream with it", async (t) => {
  const room = await Room.open(t, { config: { segmentMs: 10_000 } });
  const { video } = await room.play(20_200);
  for (let at = 0; at < 3; at++) {
    assert.equal((await room.fetch(`${video}&_HLS_legacy=YES`)).status, 200);
    for (let second = 0; second < 20; second++) {
      room.clock.advance(1_000);
      assert.deepEqual(room.node.hub.list()[0]?.viewers, { llhls: 1 }, `after ${second + 1} s`);
    }
  }
  room.clock.advance(2_000);
  assert.equal(room.node.guest.stats.streams, 0);
});

test("the end of a viewer is told when it stops asking, or never began", async (t) => {
  let ended = 0;
  const admit = async () => ({ isAdmitted: true, onEnd: () => void ended++ }) as const;
  const room = await Room.open(t, { admit });
  const { video } = await room.play(4_100);
  for (let i = 0; i < 5; i++) {
    room.clock.advance(9_000);
    await room.fetch(video);
  }
  assert.equal(ended, 0);
  room.clock.advance(12_000);
  assert.equal(ended, 1);
  const absent = await Room.open(t, { admit, open: () => Promise.reject(new NoSuchStream("404")) });
  assert.equal((await absent.fetch("llhls.m3u8")).status, 404);
  assert.equal(ended, 2);
});

test("a viewer who gets another stream than asked for is led to it", async (t) => {
  const room = await Room.open(t, {
    secretOf: () => "of the policy",
    admit: async (target) =>
      target.stream === "public"
        ? { isAdmitted: true, target: { ...target, query: target.query, stream: "stream" } }
        : refusal,
  });
  const refusal = { isAdmitted: false, status: 401, reason: "no" } as const;
  const answer = fetch(`${room.node.baseUrl}/app/public/llhls.m3u8`);
  await until("the source to be started", 5_000, () => room.sources.at(-1)?.sink !== undefined);
  room.feed(4_100);
  room.clock.advance(settleMs);
  const child = /^\/app\/stream\/chunklist_0_video.*$/m.exec(await (await answer).text())?.[0];
  assert.equal((await fetch(`${room.node.baseUrl}${child}`)).status, 200);
});

test("viewers are counted once each, and a stream nobody asks for is let go", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(4_100);
  const { video: second } = await room.play(4_100);
  await room.fetch(video);
  await room.fetch(second);
  assert.equal(room.node.guest.stats.viewers, 2);
  assert.deepEqual(room.node.hub.list()[0]!.viewers, { llhls: 2 }, "newcomers count at once");
  room.clock.advance(1_500);
  assert.deepEqual(room.node.hub.list()[0]!.viewers, { llhls: 2 });
  room.clock.advance(11_000);
  assert.equal(room.node.guest.stats.streams, 0);
  assert.deepEqual(room.node.hub.list()[0]?.viewers ?? {}, {});
});

test("a client that goes is forgotten", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(4_100);
  const request = httpRequest(room.url(`${video}&_HLS_msn=2&_HLS_part=0`)).on("error", () => {});
  request.end();
  await room.held(1);
  request.destroy();
  await room.held(0);
});

test("more held requests than a session may have are told to come again", async (t) => {
  const room = await Room.open(t, { config: { holdLimits: { perSession: 2 } } });
  const { video } = await room.play(4_100);
  const held = [0, 1].map(() => room.fetch(`${video}&_HLS_msn=2&_HLS_part=0`));
  await room.held(2);
  assert.equal((await room.fetch(`${video}&_HLS_msn=2&_HLS_part=0`)).status, 503);
  room.feed(4_300);
  for (const answer of held) assert.equal((await answer).status, 200);
});

test("whatever is asked for, an answer comes and the node lives", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(4_100);
  const { port } = new URL(room.node.baseUrl);
  const paths = [
    "%00.m3u8",
    "seg_0_1_video__llhls.m4s",
    `${video}&_HLS_msn=%ff`,
    "part_9_9_9_video_k_llhls.m4s",
    "x.m3u8",
  ];
  for (const path of paths) {
    const socket = connect(Number(port), "127.0.0.1");
    socket.end(`GET /app/stream/${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const [answer] = (await once(socket, "data")) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 (400|404) /, path);
  }
  assert.equal((await room.fetch(video)).status, 200);
});

test("what Server.xml says of caching and of legacy players is followed", async (t) => {
  const maxAge = { masterPlaylist: 5, chunklist: -1, chunklistWithDirectives: 7, segment: 0, part: 9 };
  const room = await Room.open(t, { config: { maxAge, isLegacyByDefault: true } });
  const { video, master } = await room.play(8_100);
  assert.ok(master.includes(video));
  const of = async (file: string): Promise<string | null> => (await room.fetch(file)).headers.get("cache-control");
  assert.equal(await of("llhls.m3u8"), "max-age=5");
  assert.equal(await of(video), null);
  assert.equal(await of(`${video}&_HLS_msn=1`), "private, max-age=7");
  const legacy = await (await room.fetch(video)).text();
  assert.doesNotMatch(legacy, /EXT-X-PART/);
  const full = await (await room.fetch(`${video}&_HLS_legacy=NO`)).text();
  assert.match(full, /#EXT-X-MEDIA-SEQUENCE:0\n/);
  assert.equal(await of([...full.matchAll(/^seg_.*$/gm)].at(-1)![0]), "no-cache, no-store");
  assert.equal(await of(/URI="(part_[^"]*)"/.exec(full)![1]!), "max-age=9");
});

test("what is one viewer's no cache may give to another, whatever Server.xml says of caching", async (t) => {
  const maxAge = { masterPlaylist: 5, chunklist: 6, chunklistWithDirectives: 7, segment: 8, part: 9 };
  const room = await Room.open(t, { config: { maxAge }, secret: "s3cret" });
  const { video } = await room.play(8_100);
  const of = async (file: string): Promise<string | null> => (await room.fetch(file)).headers.get("cache-control");
  assert.equal(await of("llhls.m3u8"), "private, max-age=5");
  assert.equal(await of(video), "private, max-age=6");
  assert.equal(await of(`${video}&_HLS_msn=1`), "private, max-age=7");
  const silent = { masterPlaylist: -1, chunklist: -1, chunklistWithDirectives: -1, segment: -1, part: -1 };
  const other = await Room.open(t, { config: { maxAge: silent }, secret: "s3cret" });
  await other.play(8_100);
  assert.equal((await other.fetch("llhls.m3u8")).headers.get("cache-control"), "private");
});

test("no answer outlives what it says: refusals, what is not there yet, an end", async (t) => {
  const room = await Room.open(t, { config: { holdLimits: { perSession: 1 } } });
  const { video } = await room.play(4_100);
  const blocking = `${video}&_HLS_msn=2&_HLS_part=0`;
  const of = async (file: string): Promise<[number, string | null]> => {
    const answer = await room.fetch(file);
    return [answer.status, answer.headers.get("cache-control")];
  };
  const held = room.fetch(blocking);
  await room.held(1);
  assert.deepEqual(await of(blocking), [503, "no-store"]);
  assert.deepEqual(await of(`${video}&_HLS_msn=90`), [400, "max-age=1"]);
  assert.deepEqual(await of("other.m3u8"), [404, "max-age=1"]);
  const [part] = /part_0_1_4_video_\w+_llhls\.m4s/.exec(await (await room.fetch(video)).text())!;
  assert.deepEqual(await of(part.replace("0_1_4", "0_9_4")), [404, "max-age=1"]);
  room.clock.advance(8_500);
  const late = await held;
  assert.deepEqual(
    [late.status, late.headers.get("cache-control"), late.headers.get("retry-after")],
    [503, "no-store", "1"],
  );
  assert.match(late.headers.get("access-control-expose-headers")!, /\bRetry-After\b/);
  await room.node.hub.close({ code: "test" });
  const end = await room.fetch(`${video.split("?")[0]}?_HLS_msn=1`);
  assert.match(await end.text(), /#EXT-X-ENDLIST/);
  assert.equal(end.headers.get("cache-control"), "no-cache");
});

test("without the default playlist only the origin's own are offered", async (t) => {
  const room = await Room.open(t, { config: { hasDefaultPlaylist: false } });
  const answer = room.fetch("llhls.m3u8");
  await until("the source to be started", 5_000, () => room.sources.at(-1)?.sink !== undefined);
  room.feed(8_100);
  room.clock.advance(settleMs);
  assert.equal((await answer).status, 404);
});

test("who asks for a gap is led to what comes after it", async (t) => {
  const room = await Room.open(t);
  const { video } = await room.play(10_100);
  const [, gap] = /#EXT-X-GAP\n#EXTINF.*\n(.*)/.exec(await (await room.fetch(video)).text())!;
  const answer = await room.fetch(gap!, { redirect: "manual" });
  assert.equal(answer.status, 302);
  assert.equal(answer.headers.get("cache-control"), "max-age=1");
  const next = answer.headers.get("location")!;
  assert.notEqual(next, gap);
  assert.equal((await room.fetch(next)).status, 200);
});

test("a list for VLC, which does not know gaps, begins behind them; it is asked for by its own address", async (t) => {
  const room = await Room.open(t);
  const { video, master } = await room.play(10_100);
  assert.doesNotMatch(master, /_HLS_gaps/);
  const ofVlc = await (
    await room.fetch("llhls.m3u8", { headers: { "user-agent": "VLC/3.0.21 LibVLC/3.0.21" } })
  ).text();
  const uris = [...ofVlc.matchAll(/^chunklist_.*$|URI="(chunklist_[^"]*)"/gm)].map(([line, uri]) => uri ?? line);
  assert.equal(uris.length, 2);
  for (const uri of uris) assert.match(uri, /&_HLS_gaps=NO$/);
  const [listed, gapless] = [await (await room.fetch(video)).text(), await (await room.fetch(uris.at(-1)!)).text()];
  assert.match(listed, /#EXT-X-GAP/);
  assert.doesNotMatch(gapless, /#EXT-X-GAP/);
  const names = (text: string): string[] => text.match(/^seg_.*$/gm) ?? [];
  // Behind the last gap stands its own name first.
  const behind = names(listed.slice(listed.lastIndexOf("#EXT-X-GAP"))).slice(1);
  assert.ok(behind.length >= 3);
  assert.deepEqual(names(gapless), behind);
  assert.match(gapless, new RegExp(`^#EXT-X-MEDIA-SEQUENCE:${behind[0]!.split("_")[2]}$`, "m"));
});

test("an edge that takes in what its origin remembers shows no list before it has all of it", async (t) => {
  const room = await Room.open(t);
  const answer = room.fetch("llhls.m3u8");
  await until("the source to be started", 5_000, () => room.sources.at(-1)?.sink !== undefined);
  for (let fedMs = 2_200; fedMs <= 8_200; fedMs += 1_000) {
    room.feed(fedMs);
    room.clock.advance(50);
  }
  await room.held(1);
  room.clock.advance(100);
  const video = /^chunklist_0_video.*$/m.exec(await (await answer).text())![0];
  const text = await (await room.fetch(video)).text();
  assert.ok(text.includes("#EXT-X-GAP"), text);
  assert.match(text, /PRELOAD-HINT:TYPE=PART,URI="part_0_4_/);
});

test("who plays already waits for a node that does not know yet where the stream is; who begins is told", async (t) => {
  const room = await Room.open(t, { secret: "s3cret" });
  const { video } = await room.play(8_100);
  let isKnown = false;
  const open = async (): Promise<FakeSource> => {
    if (!isKnown) throw new Error("the store does not answer");
    other.sources.push(new FakeSource(describe([videoTrack, audioTrack])));
    return other.sources.at(-1)!;
  };
  const other = await Room.open(t, { secret: "s3cret", open });
  assert.equal((await other.fetch("llhls.m3u8")).status, 503);
  const answer = other.fetch(video);
  const feeding = setInterval(() => {
    isKnown = true;
    other.clock.advance(250);
    if (other.sources.at(-1)?.sink) other.feed(8_100);
  }, 20);
  t.after(() => clearInterval(feeding));
  assert.equal((await answer).status, 200);
});
