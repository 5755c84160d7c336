import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryMediaPort, type MemoryPeer } from "../../test/support/memory-media-port.ts";
import {
  descriptionOf,
  opusSample,
  opusTrack,
  sps,
  videoSample,
  videoTrack,
} from "../../test/support/synthetic-stream.ts";
import { MemoryLogger, TestHub } from "../../test/support/webrtc-room.ts";
import type { Stream, StreamDescription } from "../core/stream.ts";
import { silentLogger } from "../flow/logger.ts";
import { serializeRtcp, type RtcpPacket } from "../rtp/rtcp.ts";
import { defaultWebRtcConfig, type WebRtcConfig } from "./config.ts";
import type { PlayableRendition } from "./renditions.ts";
import { SessionTable } from "./session-table.ts";
import type { SenderFormat } from "./track-sender.ts";
import { ViewerSession } from "./viewer-session.ts";

const video: SenderFormat = {
  kind: "video",
  codec: "h264",
  ssrc: 11,
  payloadType: 98,
  rtxSsrc: 12,
  rtxPayloadType: 99,
};
const audio: SenderFormat = {
  kind: "audio",
  codec: "opus",
  ssrc: 21,
  payloadType: 110,
  rtxSsrc: undefined,
  rtxPayloadType: undefined,
};

/** A room with one live stream and an in-memory port. */
class Room {
  readonly hub: TestHub;
  readonly port = new MemoryMediaPort();
  readonly logger = new MemoryLogger();
  readonly table: SessionTable;
  readonly deferred: (() => void)[] = [];
  frame = 0;

  constructor(description?: StreamDescription, config: Partial<WebRtcConfig> = {}) {
    this.hub = new TestHub(description);
    this.table = new SessionTable({
      hub: this.hub.hub,
      port: this.port,
      clock: this.hub.clock,
      logger: this.logger,
      random: (length) => new Uint8Array(length).fill(0x12),
      config: { ...defaultWebRtcConfig, ...config },
      defer: (run) => this.deferred.push(run),
    });
  }

  async join(formats: readonly SenderFormat[] = [video, audio], rendition?: PlayableRendition) {
    const { peer, session } = await this.negotiate(formats, rendition);
    peer.connect();
    return { peer, session };
  }

  async negotiate(formats: readonly SenderFormat[], rendition?: PlayableRendition) {
    const result = await this.hub.hub.acquire({ vhost: "default", app: "app", stream: "live" }, { protocol: "webrtc" });
    assert.equal(result.kind, "stream");
    const session = this.table.open(result.hold, silentLogger, "192.0.2.1", () => {});
    assert.ok(session instanceof ViewerSession);
    session.accept(
      { cname: "cname", formats },
      { fingerprints: ["sha-256 AB"] },
      rendition ?? this.defaultRendition(result.hold.stream),
    );
    return { session, peer: this.port.peers.at(-1)! };
  }

  defaultRendition(stream: Stream): PlayableRendition {
    const playlist = this.table.playlistOf(stream, "");
    assert.ok(!("refusal" in playlist));
    return playlist.renditions[0]!;
  }

  /** 30 pictures a second with a key frame every `gop`, and 50 packets of sound. */
  play(frames: number, options: { gop?: number; bytes?: number; keyBytes?: number } = {}): void {
    const { gop = 30, bytes = 1_000, keyBytes = bytes } = options;
    for (let i = 0; i < frames; i++, this.frame++) {
      const isKeyframe = this.frame % gop === 0;
      const [first, last] = [this.frame, this.frame + 1].map((n) => Math.ceil((n * 50) / 30));
      for (let sound = first!; sound < last!; sound++) this.hub.source.push(opusSample(sound));
      this.hub.source.push(videoSample(this.frame, { isKeyframe, bytes: isKeyframe ? keyBytes : bytes }));
      this.hub.clock.advance(1000 / 30);
    }
  }
}

async function liveRoom(frames = 0, ...rest: ConstructorParameters<typeof Room>): Promise<Room> {
  const room = new Room(...rest);
  await room.hub.hub.acquire({ vhost: "default", app: "app", stream: "live" }, { protocol: "prewarm" });
  room.play(frames);
  return room;
}

/** NAL unit types a packet carries first, FU-A and STAP-A seen through. */
function nalTypes(peer: MemoryPeer): number[] {
  return peer.of(98).map(({ payload }) => {
    const type = payload[0]! & 31;
    return type === 28 ? payload[1]! & 31 : type;
  });
}

function assertContiguous(packets: readonly { packetIndex: number }[]): void {
  packets.forEach((packet, i) => assert.equal(packet.packetIndex, packets[0]!.packetIndex + i));
}

test("a viewer who joins mid-way gets the cached group of pictures at once, from its key frame", async () => {
  const room = await liveRoom(45);
  const { peer } = await room.join();
  assert.equal(nalTypes(peer)[0], 24, "parameter sets come first");
  assert.equal(nalTypes(peer)[1], 5, "then the IDR picture");
  assert.ok(peer.of(98)[0]!.payload.includes(sps[1]!));
  assert.deepEqual(peer.of(110), [], "sound begins at live");
  room.play(30);
  assertContiguous(peer.of(98));
  assertContiguous(peer.of(110));
  const frames = new Set(peer.of(98).map(({ timestamp }) => timestamp)).size;
  assert.equal(frames, 15 + 30, "every picture since the key frame, none twice");
});

test("before the first key frame no video is sent, but sound is", async () => {
  const room = await liveRoom();
  const { peer } = await room.join();
  room.frame = 1;
  room.play(10);
  assert.deepEqual(peer.of(98), []);
  assert.ok(peer.of(110).length > 10);
  room.play(25);
  assert.deepEqual(nalTypes(peer).slice(0, 2), [24, 5]);
});

test("a cached key frame that is too old is not sent; the next one is waited for", async () => {
  const room = new Room();
  await room.hub.hub.acquire({ vhost: "default", app: "app", stream: "live" }, { protocol: "prewarm" });
  room.play(110, { gop: 120 });
  const { peer } = await room.join();
  assert.deepEqual(peer.of(98), []);
  room.play(11, { gop: 120 });
  assert.deepEqual(nalTypes(peer).slice(0, 2), [24, 5]);
});

test("timestamps follow the media clock and share one for all viewers", async () => {
  const room = await liveRoom(31);
  const first = (await room.join()).peer;
  const second = (await room.join()).peer;
  room.play(3);
  const last = first.of(98).at(-1)!;
  assert.equal(second.of(98).at(-1)!.timestamp, last.timestamp);
  const stamps = [...new Set(first.of(98).map(({ timestamp }) => timestamp))];
  stamps.slice(1).forEach((stamp, i) => assert.equal((stamp - stamps[i]!) >>> 0, 3_000));
  const sound = first.of(110);
  assert.equal((sound[1]!.timestamp - sound[0]!.timestamp) >>> 0, 960);
});

test("the first sender reports leave within 100 ms, name both tracks and agree with the media clock", async () => {
  const room = await liveRoom(31);
  const { peer } = await room.join();
  room.play(3);
  const [video, sound, names] = peer.rtcp[0]!;
  assert.ok(video?.type === "sender-report" && sound?.type === "sender-report");
  assert.deepEqual(names, {
    type: "source-description",
    chunks: [
      { ssrc: 11, cname: "cname" },
      { ssrc: 21, cname: "cname" },
    ],
  });
  const seconds = (report: RtcpPacket): number =>
    report.type === "sender-report" ? report.ntpSeconds - 2_208_988_800 + report.ntpFraction / 2 ** 32 : 0;
  const epochSeconds = Date.UTC(2026, 0, 1) / 1000;
  const frame = peer.of(98).find(({ timestamp }) => timestamp === video.rtpTimestamp);
  assert.ok(frame, "the report refers to a frame that was sent");
  assert.ok(Math.abs(seconds(video) - seconds(sound)) < 0.05);
  assert.ok(Math.abs(seconds(video) - epochSeconds - 33 / 30) < 0.05);
  assert.ok(video.packetCount > 0 && video.octetCount > 0);
  room.play(60);
  assert.ok(peer.rtcp.length >= 3 && peer.rtcp.length <= 5, `${peer.rtcp.length} reports in two seconds`);
});

test("by the sender reports, every picture and sound has the time it was made: they are less than 1 ms apart", async () => {
  const room = await liveRoom(31);
  const { peer } = await room.join();
  room.play(90);
  const epochMs = Date.UTC(2026, 0, 1);
  for (const [type, ssrc, clockRate] of [
    [98, 11, 90_000],
    [110, 21, 48_000],
  ] as const) {
    const reports = peer.rtcp.flat().filter((packet) => packet.type === "sender-report" && packet.ssrc === ssrc);
    assert.ok(reports.length >= 3);
    // By the first report and by the last a packet has the same time, and that is the media clock's.
    const timeOf = (report: (typeof reports)[number], timestamp: number): number =>
      report.type === "sender-report"
        ? (report.ntpSeconds - 2_208_988_800) * 1000 +
          (report.ntpFraction / 2 ** 32) * 1000 +
          (((timestamp - report.rtpTimestamp) | 0) / clockRate) * 1000
        : Number.NaN;
    const stamps = [...new Set(peer.of(type).map(({ timestamp }) => timestamp))];
    const perSample = type === 98 ? 1000 / 30 : 20;
    const madeMs = timeOf(reports[0]!, stamps[0]!) - epochMs;
    // The stream's samples lie on this grid from its epoch on.
    assert.ok(Math.abs(madeMs - Math.round(madeMs / perSample) * perSample) < 1, `${type}: ${madeMs} ms`);
    for (const report of reports) {
      for (const stamp of stamps) {
        const expectedMs = madeMs + (((stamp - stamps[0]!) | 0) / clockRate) * 1000;
        assert.ok(Math.abs(timeOf(report, stamp) - epochMs - expectedMs) < 1);
      }
    }
  }
});

test("round trip time is taken from reports that refer to ours", async () => {
  const room = await liveRoom(31);
  const { peer, session } = await room.join();
  room.play(3);
  const report = peer.rtcp[0]![0]!;
  assert.ok(report.type === "sender-report");
  const sentAgoMs = room.hub.clock.nowMs() % (1000 / 30);
  room.hub.clock.advance(30);
  const block = {
    ssrc: 11,
    fractionLost: 64,
    cumulativeLost: 1,
    highestSequence: 1,
    jitter: 0,
    lastSenderReport: (((report.ntpSeconds & 0xffff) << 16) | (report.ntpFraction >>> 16)) >>> 0,
    delaySinceLastSenderReport: 0,
  };
  peer.receive(serializeRtcp([{ type: "receiver-report", ssrc: 1, reports: [block] }]));
  assert.ok(session.roundTripMs >= 30 && session.roundTripMs < 60, `${session.roundTripMs} ms (${sentAgoMs})`);
  assert.ok(Object.values(room.table.streams)[0]!.lossShare > 0);
});

test("every packet of a NACK is repeated by RTX, with its original number, once in a while", async () => {
  const room = await liveRoom(31);
  const { peer } = await room.join();
  room.play(10);
  const lost = peer.of(98).slice(2, 7);
  const nack = serializeRtcp([
    { type: "nack", senderSsrc: 1, mediaSsrc: 11, sequences: lost.map(({ sequence }) => sequence) },
  ]);
  peer.receive(nack);
  peer.receive(nack);
  const repeats = peer.of(99);
  assert.equal(repeats.length, lost.length, "asked twice in one instant, sent once");
  repeats.forEach((repeat, i) => {
    const original = lost[i]!;
    assert.equal(repeat.ssrc, 12);
    assert.equal(repeat.timestamp, original.timestamp);
    assert.equal(repeat.marker, original.marker);
    assert.equal(repeat.payload[0]! * 256 + repeat.payload[1]!, original.sequence);
    assert.deepEqual(repeat.payload.slice(2), original.payload);
  });
  assertContiguous(repeats);
  room.hub.clock.advance(100);
  peer.receive(nack);
  assert.equal(peer.of(99).length, 2 * lost.length);
});

test("without RTX the packet itself is repeated; what is unknown is counted", async () => {
  const room = await liveRoom(31);
  const { peer } = await room.join([{ ...video, rtxSsrc: undefined, rtxPayloadType: undefined }]);
  room.play(10);
  const lost = peer.of(98)[3]!;
  const unsent = (peer.of(98).at(-1)!.sequence + 100) & 0xffff;
  peer.receive(serializeRtcp([{ type: "nack", senderSsrc: 1, mediaSsrc: 11, sequences: [lost.sequence, unsent] }]));
  assert.deepEqual(peer.of(98).at(-1), lost);
  const stats = Object.values(room.table.streams)[0]!;
  assert.equal(stats.retransmitted, 1);
  assert.equal(stats.notRetransmitted, 1);
});

test("a NACK is answered for at least two seconds, and repeats stay within a quarter of the track's bitrate", async () => {
  const room = await liveRoom(31);
  const { peer } = await room.join([video]);
  // 3 Mbit/s.
  room.play(90, { bytes: 12_500 });
  const nack = (sequences: readonly number[]): void =>
    peer.receive(serializeRtcp([{ type: "nack", senderSsrc: 1, mediaSsrc: 11, sequences: [...sequences] }]));
  const sent = peer.of(98);
  const perSecond = sent.length / 3.5;
  const old = sent.at(-Math.floor(perSecond * 2.2))!;
  nack([old.sequence]);
  assert.deepEqual(peer.of(99).at(-1)!.payload.slice(2), old.payload);
  room.hub.clock.advance(5_000);
  room.play(90, { bytes: 12_500 });
  const before = peer.of(99).length;
  // Everything of the last three seconds, asked for again and again during another.
  const all = peer
    .of(98)
    .slice(-Math.floor(perSecond * 2))
    .map(({ sequence }) => sequence);
  for (let i = 0; i < 30; i++) {
    nack(all.slice((i * 37) % all.length));
    room.play(1, { bytes: 12_500 });
  }
  const repeatedBits = peer
    .of(99)
    .slice(before)
    .reduce((sum, { payload }) => sum + payload.length * 8, 0);
  // A second at a quarter of 3 Mbit/s, and what the bucket holds.
  assert.ok(repeatedBits > 500_000 && repeatedBits < 750_000 * 1.2 + 96_000 * 8, `${repeatedBits} bits repeated`);
  assert.ok(Object.values(room.table.streams)[0]!.notRetransmitted > 0);
});

test("a viewer that missed the opening burst gets it again, numbers going on; later it waits for the next key frame", async () => {
  const room = await liveRoom(45);
  const { peer } = await room.join([video]);
  const pli = serializeRtcp([{ type: "pli", senderSsrc: 1, mediaSsrc: 11 }]);
  room.play(12);
  const before = peer.of(98).length;
  peer.receive(pli);
  peer.receive(pli);
  room.hub.clock.advance(10);
  assert.equal(peer.of(98).length, before + 1, "the parameter sets have a head start");
  room.hub.clock.advance(30);
  const again = peer.of(98).slice(before);
  assert.deepEqual(
    again.map(({ timestamp, payload }) => [timestamp, payload.length]),
    peer
      .of(98)
      .slice(0, before)
      .map(({ timestamp, payload }) => [timestamp, payload.length]),
  );
  assertContiguous(peer.of(98));
  assert.deepEqual(room.hub.source.keyframesAsked, []);
  peer.receive(serializeRtcp([{ type: "nack", senderSsrc: 1, mediaSsrc: 11, sequences: [again[0]!.sequence] }]));
  assert.deepEqual(peer.of(99).at(-1)!.payload.slice(2), again[0]!.payload);
  room.play(5);
  const later = peer.of(98).length;
  peer.receive(pli);
  assert.equal(peer.of(98).length, later, "a newer key frame was sent meanwhile");
  assert.deepEqual(room.hub.source.keyframesAsked, [0]);
});

test("PLI and FIR reach the source, at most once a second", async () => {
  const room = await liveRoom(31);
  const { peer } = await room.join();
  room.play(60);
  peer.receive(serializeRtcp([{ type: "pli", senderSsrc: 1, mediaSsrc: 11 }]));
  peer.receive(serializeRtcp([{ type: "fir", senderSsrc: 1, entries: [{ ssrc: 11, sequence: 1 }] }]));
  assert.deepEqual(room.hub.source.keyframesAsked, [0]);
  room.hub.clock.advance(1_000);
  peer.receive(serializeRtcp([{ type: "pli", senderSsrc: 1, mediaSsrc: 11 }]));
  assert.deepEqual(room.hub.source.keyframesAsked, [0, 0]);
});

test("a viewer that goes on asking until a key frame comes has stood once, and not while it begins", async () => {
  const room = await liveRoom(31);
  const { peer } = await room.join();
  const ask = (): void => peer.receive(serializeRtcp([{ type: "pli", senderSsrc: 1, mediaSsrc: 11 }]));
  const stats = () => room.table.streams["default/app/live"]!;
  ask();
  assert.deepEqual([stats().keyframeRequests, stats().freezes], [1, 0]);
  room.play(50);
  for (let i = 0; i < 3; i++, room.play(3)) ask();
  assert.deepEqual([stats().keyframeRequests, stats().freezes], [4, 1]);
  room.play(30);
  for (let i = 0; i < 3; i++) ask();
  assert.deepEqual([stats().keyframeRequests, stats().freezes], [7, 2]);
});

test("repetitions are numbered on beyond 65,535, and name what they repeat", async () => {
  const room = await liveRoom(31);
  const { peer } = await room.join();
  let last = -1;
  while (last < 65_600) {
    room.play(1, { bytes: 30 });
    const sequences = peer
      .of(98)
      .slice(-20)
      .map(({ sequence }) => sequence);
    peer.receive(serializeRtcp([{ type: "nack", senderSsrc: 1, mediaSsrc: 11, sequences }]));
    const repeats = peer.of(99);
    assert.ok(repeats.length > 0);
    assertContiguous(last < 0 ? repeats : [{ packetIndex: last }, ...repeats]);
    last = repeats.at(-1)!.packetIndex;
    assert.equal(repeats.at(-1)!.sequence, last & 0xffff);
    assert.ok(sequences.includes(repeats.at(-1)!.payload[0]! * 256 + repeats.at(-1)!.payload[1]!));
    peer.packets.splice(0, peer.packets.length - 60);
    // What was looked at is forgotten, so that the next round's are new.
    for (let at = peer.packets.length - 1; at >= 0; at--)
      if (peer.packets[at]!.payloadType === 99) peer.packets.splice(at, 1);
  }
});

test("a large key frame leaves in trains, not at once", async () => {
  const room = await liveRoom();
  const { peer } = await room.join();
  room.hub.source.push(videoSample(0, { isKeyframe: true, bytes: 200_000 }));
  const atOnce = peer.of(98).length;
  assert.ok(atOnce > 0 && atOnce < 30, `${atOnce} packets at once`);
  room.hub.clock.advance(10);
  assert.equal(peer.of(98).at(-1)!.marker, true, "all of it within 10 ms");
  assertContiguous(peer.of(98));
  assert.equal(room.hub.clock.pendingTimers > 0, true);
});

test("a viewer that loses packets gets large key frames more slowly", async () => {
  const room = await liveRoom();
  const { peer } = await room.join();
  const block = { ssrc: 11, fractionLost: 64, cumulativeLost: 9, highestSequence: 9, jitter: 0 };
  const reports = [{ ...block, lastSenderReport: 0, delaySinceLastSenderReport: 0 }];
  peer.receive(serializeRtcp([{ type: "receiver-report", ssrc: 1, reports }]));
  room.hub.source.push(videoSample(0, { isKeyframe: true, bytes: 200_000 }));
  room.hub.clock.advance(100);
  assert.equal(peer.of(98).at(-1)!.marker, false, "still under way after 100 ms");
  room.hub.clock.advance(200);
  assert.equal(peer.of(98).at(-1)!.marker, true);
  assertContiguous(peer.of(98));
});

test("a viewer whose transport is congested is taken to the next key frame, and counted", async () => {
  const room = await liveRoom(31);
  const { peer } = await room.join();
  room.play(5);
  peer.backlogBytes = 10_000_000;
  const before = peer.of(98).length;
  room.play(10);
  assert.equal(peer.of(98).length, before);
  peer.backlogBytes = 0;
  room.play(10);
  assert.equal(peer.of(98).length, before, "nothing before a key frame");
  room.play(10);
  const after = peer.of(98).slice(before);
  assert.equal(after[0]!.payload[0]! & 31, 24);
  assertContiguous(peer.of(98));
  assert.equal(Object.values(room.table.streams)[0]!.drops, 1);
});

test("many viewers are served in slices, each within its turn of the event loop, and none is left out", async () => {
  const room = await liveRoom(1);
  for (let i = 0; i < 250; i++) await room.join([{ ...video, ssrc: 1_000 + i }]);
  const sent = (): number[] =>
    room.port.peers.map((peer) => new Set(peer.of(98).map((packet) => packet.timestamp)).size);
  room.hub.source.push(videoSample(room.frame++));
  assert.equal(sent().filter((frames) => frames === 2).length, 100);
  for (let turn = 0; turn < 2; turn++) room.deferred.shift()!();
  assert.deepEqual(new Set(sent()), new Set([2]));
  assert.deepEqual(room.deferred, []);
});

test("sequence numbers wrap, and packets on both sides of it are found again", async () => {
  const room = await liveRoom(1);
  const { peer } = await room.join([video]);
  while ((peer.packets.at(-1)?.packetIndex ?? 0) < 65_600) room.play(1, { bytes: 100_000 });
  room.hub.clock.advance(200);
  assertContiguous(peer.of(98));
  const lost = peer.of(98).filter(({ packetIndex }) => packetIndex >= 65_530 && packetIndex < 65_540);
  assert.deepEqual(new Set(lost.map(({ sequence }) => sequence < 10)), new Set([false, true]));
  const sequences = lost.map(({ sequence }) => sequence);
  peer.receive(serializeRtcp([{ type: "nack", senderSsrc: 1, mediaSsrc: 11, sequences }]));
  assert.deepEqual(
    peer.of(99).map(({ payload }) => payload.slice(2)),
    lost.map(({ payload }) => payload),
  );
});

test("a source that fell silent long ago gives no burst of stale pictures", async () => {
  const room = await liveRoom(31);
  room.hub.clock.advance(5_000);
  const { peer } = await room.join([video]);
  assert.deepEqual(peer.of(98), []);
});

test("a viewer who falls out of the history goes on at the newest key frame", async () => {
  const room = await liveRoom(1);
  const { peer } = await room.join([video]);
  for (; room.frame < 130; room.frame++) {
    room.hub.source.push(videoSample(room.frame, { isKeyframe: room.frame % 60 === 0, bytes: 250_000 }));
  }
  room.hub.clock.advance(4_000);
  assertContiguous(peer.of(98));
  assert.equal(Object.values(room.table.streams)[0]!.drops, 2, "the history holds less than 70 such pictures");
  const { clock } = room.hub;
  assert.equal(peer.of(98).at(-1)!.marker, true, `caught up at ${clock.nowMs()} ms`);
  const stamps = [...new Set(peer.of(98).map(({ timestamp }) => timestamp))];
  assert.equal((stamps.at(-1)! - stamps[0]!) >>> 0, 129 * 3_000);
  const gaps = stamps.slice(1).filter((stamp, i) => (stamp - stamps[i]!) >>> 0 !== 3_000);
  assert.equal(gaps.length, 1, "one jump, to a key frame");
});

test("a NACK for packets before a drop is answered from where they are in the history", async () => {
  const room = await liveRoom(31);
  const { peer } = await room.join();
  room.play(5);
  const lost = peer.of(98).at(-1)!;
  peer.backlogBytes = 10_000_000;
  room.play(1);
  peer.backlogBytes = 0;
  room.play(30);
  peer.receive(serializeRtcp([{ type: "nack", senderSsrc: 1, mediaSsrc: 11, sequences: [lost.sequence] }]));
  assert.deepEqual(peer.of(99)[0]!.payload.slice(2), lost.payload);
});

test("a switch of rendition happens at the target's key frame and keeps numbers and clock going", async () => {
  const low = { ...videoTrack, id: 2, name: "low" };
  const room = await liveRoom(0, descriptionOf([videoTrack, opusTrack, low]));
  const { peer, session } = await room.join([video]);
  const both = (index: number): void => {
    room.hub.source.push(videoSample(index, { isKeyframe: index % 10 === 0, bytes: 500 }));
    room.hub.source.push(videoSample(index, { isKeyframe: index % 10 === 5, bytes: 100, trackId: 2 }));
    room.hub.clock.advance(1000 / 30);
  };
  for (let i = 0; i < 12; i++) both(i);
  let switchedAt = -1;
  let now = 12;
  session.switchTo({ name: "low", video: low, audio: undefined }, () => (switchedAt = now));
  for (; now < 25; now++) both(now);
  assert.equal(switchedAt, 15);
  assertContiguous(peer.of(98));
  const stamps = [...new Set(peer.of(98).map(({ timestamp }) => timestamp))];
  stamps.slice(1).forEach((stamp, i) => assert.equal((stamp - stamps[i]!) >>> 0, 3_000));
  assert.ok(peer.of(98).at(-1)!.payload.length < 200);
});

test("in automatic mode it probes with repeated packets, and goes up when the viewer's estimate follows", async () => {
  const low = { ...videoTrack, id: 2, name: "low", bitrate: 200_000 };
  const room = await liveRoom(0, descriptionOf([videoTrack, low]));
  const renditions = [videoTrack, low].map((track) => ({ name: track.name, video: track, audio: undefined }));
  const { peer, session } = await room.join([video], renditions[1]);
  const switched: [number, string][] = [];
  session.chooseAmong(renditions, ({ name }) => switched.push([Math.floor(now / 30), name]));
  let now = 0;
  for (; now < 30 * 14; now++) {
    room.hub.source.push(videoSample(now, { isKeyframe: now % 30 === 0, bytes: 4_000 }));
    room.hub.source.push(videoSample(now, { isKeyframe: now % 30 === 0, bytes: 800, trackId: 2 }));
    if (now % 30 === 0) {
      const bitrate = peer.of(99).length > 0 ? 2_500_000 : 250_000;
      peer.receive(serializeRtcp([{ type: "remb", senderSsrc: 1, bitrate, ssrcs: [11] }]));
    }
    room.hub.clock.advance(1000 / 30);
  }
  const probed = peer.of(99).reduce((sum, { payload }) => sum + payload.length, 0);
  assert.ok(probed > 80_000 && probed < 200_000, `${probed} bytes of padding: a second up to 1.2 Mbit/s`);
  assert.deepEqual(switched, [[12, "bypass_video"]]);
  assertContiguous(peer.of(98));
  assertContiguous(peer.of(99));
});

test("the session ends with BYE, with the transport, and with the stream; holds and timers are given back", async () => {
  const room = await liveRoom(31);
  const ends: [string, (peer: MemoryPeer) => void][] = [
    ["bye", (peer) => peer.receive(serializeRtcp([{ type: "bye", ssrcs: [1] }]))],
    ["peer-closed", (peer) => peer.close("consent lost")],
  ];
  for (const [code, end] of ends) {
    const { peer, session } = await room.join();
    assert.equal(room.hub.viewers.webrtc, 1);
    end(peer);
    assert.equal(session.isEnded, true);
    assert.equal(room.hub.viewers.webrtc, undefined);
    assert.equal(room.table.stats.ended[code], 1);
  }
  const { session } = await room.join();
  room.hub.hub.find({ vhost: "default", app: "app", stream: "live" })!.close({ code: "source-lost" });
  assert.equal(session.isEnded, true);
  assert.equal(room.table.stats.ended["stream-ended"], 1);
  assert.equal(room.table.size, 0);
  assert.deepEqual(room.table.streams, {});
  await room.hub.hub.close({ code: "shutdown" });
  assert.equal(room.hub.clock.pendingTimers, 0);
});

test("our own end is told to the viewer by BYE", async () => {
  const room = await liveRoom(31);
  const { peer, session } = await room.join();
  session.close({ code: "drain" });
  session.close({ code: "again" });
  assert.equal(peer.rtcp.at(-1)!.at(-1)!.type, "bye");
  assert.equal(peer.closeReason, "drain");
});

test("nonsense in RTCP is counted and hurts nobody", async () => {
  const room = await liveRoom(31);
  const { peer, session } = await room.join();
  peer.receive(Uint8Array.of(0x81, 0xcd, 0, 200, 1));
  assert.equal(session.isEnded, false);
  assert.equal(Object.values(room.table.streams)[0]!.malformedRtcp, 1);
});

test("tracks WebRTC cannot carry are withheld with a reason", async () => {
  const aac = { ...opusTrack, codec: "aac" as const };
  const room = await liveRoom(1, descriptionOf([videoTrack, aac]));
  const stream = room.hub.hub.find({ vhost: "default", app: "app", stream: "live" })!;
  const rendition = room.defaultRendition(stream);
  assert.equal(rendition.audio, undefined);
  const line = room.logger.lines.find(({ event }) => event === "track withheld from WebRTC");
  assert.match(String(line?.fields.reason), /Opus/);
  assert.equal(line?.fields.effect, "viewers get no audio");
});

test("when B-frames begin in the middle, its viewers are ended so that they ask again", async () => {
  const room = await liveRoom(31);
  const { session } = await room.join();
  for (let i = 0; i < 4; i++) {
    const [p, b] = [room.frame + 2, room.frame + 1];
    room.hub.source.push({ ...videoSample(room.frame++), pts: p * 3_000 });
    room.hub.source.push({ ...videoSample(room.frame++), pts: b * 3_000 });
  }
  assert.equal(session.isEnded, true);
  assert.equal(room.table.stats.ended["tracks-changed"], 1);
  assert.ok(room.logger.lines.some(({ event }) => event === "track withdrawn from WebRTC"));
});

test("a failure while sending ends that viewer alone", async () => {
  const room = await liveRoom(31);
  const good = await room.join();
  const bad = await room.join();
  bad.peer.queueRtp = () => {
    throw new Error("broken");
  };
  room.play(3);
  assert.equal(bad.session.isEnded, true);
  assert.equal(good.session.isEnded, false);
  assert.equal(room.table.stats.ended["internal"], 1);
});

test("a port that cannot open a place leaves nothing behind", async () => {
  const room = await liveRoom(1);
  room.port.open = () => {
    throw new Error("full");
  };
  await assert.rejects(room.join(), /full/);
  assert.equal(room.table.size, 0);
  assert.equal(room.hub.viewers.webrtc, undefined);
  assert.deepEqual(room.table.streams, {});
});

test("a video track whose pictures are reordered is withheld", async () => {
  const { decoderConfig: _unused, ...unknown } = videoTrack;
  const room = await liveRoom(0, descriptionOf([unknown]));
  for (const [index, shift] of [0, 3, 1, 2].entries()) {
    const sample = videoSample(index, { isKeyframe: index === 0 });
    room.hub.source.push({ ...sample, pts: shift * 3_000 });
  }
  const stream = room.hub.hub.find({ vhost: "default", app: "app", stream: "live" })!;
  const playlist = room.table.playlistOf(stream, "");
  assert.ok("refusal" in playlist);
  assert.match(playlist.refusal, /B-frames/);
});

test("sound beside a picture leaves by pairs; who hears only does not wait, and nobody waits for what does not come", async () => {
  for (const { formats, sent } of [
    { formats: [video, audio], sent: [0, 2, 2, 3, 3, 5] },
    { formats: [audio], sent: [1, 2, 3, 3, 4, 5] },
  ]) {
    const room = await liveRoom(30);
    const { peer } = await room.join(formats);
    let next = 50;
    const push = (): void => room.hub.source.push(opusSample(next++));
    const seen: number[] = [];
    for (const step of [push, push, push, () => room.hub.clock.advance(25), push, push]) {
      step();
      seen.push(peer.of(110).length);
    }
    assert.deepEqual(seen, sent, formats.map(({ kind }) => kind).join("+"));
    assertContiguous(peer.of(110));
  }
});
