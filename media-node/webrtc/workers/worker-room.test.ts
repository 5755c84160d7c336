// Both ends of a media worker in one thread: what viewers get there is what they would get here.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryMediaPort } from "../../../test/support/memory-media-port.ts";
import { opusSample, videoSample } from "../../../test/support/synthetic-stream.ts";
import { MemoryLogger, TestHub } from "../../../test/support/webrtc-room.ts";
import { Histogram } from "../../flow/histogram.ts";
import { silentLogger } from "../../flow/logger.ts";
import { serializeRtcp } from "../../rtp/rtcp.ts";
import { defaultWebRtcConfig, type WebRtcConfig } from "../config.ts";
import { SessionTable, type RoomOptions } from "../session-table.ts";
import type { SenderFormat } from "../track-sender.ts";
import { RingReader } from "./shared-ring.ts";
import { WorkerPool } from "./worker-pool.ts";
import type { WorkerReport } from "./worker-messages.ts";
import { WorkerRoom } from "./worker-room.ts";

const rtx = { rtxSsrc: undefined, rtxPayloadType: undefined };
const video: SenderFormat = { kind: "video", codec: "h264", ssrc: 11, payloadType: 98, ...rtx };
const audio: SenderFormat = { kind: "audio", codec: "opus", ssrc: 21, payloadType: 110, ...rtx };
const name = { vhost: "default", app: "app", stream: "live" };

/** A main thread and its workers, whose rings are read when the test says so. */
class Threads {
  readonly hub = new TestHub();
  readonly here = new MemoryMediaPort();
  readonly logger = new MemoryLogger();
  readonly workers: {
    port: MemoryMediaPort;
    room: WorkerRoom;
    reader: RingReader;
    onExit: (cause: string) => void;
    reportStats: () => void;
  }[] = [];
  readonly pool: WorkerPool;
  readonly table: SessionTable;
  readonly times = { join: new Histogram(), firstMedia: new Histogram() };
  readonly options: Pick<RoomOptions, "clock" | "random" | "config" | "defer">;
  frame = 0;

  constructor(viewersPerThread = 0, config: Partial<WebRtcConfig> = {}, maxWorkers = 1, isApart = false) {
    const { clock } = this.hub;
    const random = (length: number): Uint8Array => new Uint8Array(length).fill(0x12);
    const shared = { clock, random, config: { ...defaultWebRtcConfig, ...config }, defer: setImmediate };
    this.options = shared;
    this.pool = new WorkerPool({
      ...shared,
      logger: this.logger,
      maxWorkers,
      viewersPerThread,
      isApart,
      newCredentials: () => ({ iceUfrag: "ufrag", icePwd: "password" }),
      start: (index, ring, onReport, onExit) => {
        const port = new MemoryMediaPort();
        const report = (message: WorkerReport): void => onReport(message);
        const room = new WorkerRoom({ ...shared, port, logger: this.logger, report });
        const reportStats = (): void =>
          report({ type: "stats", port: {}, streams: room.streamStats, sent: room.sentBytes });
        this.workers[index] = { port, room, reader: new RingReader(ring), onExit, reportStats };
        queueMicrotask(() =>
          report({ type: "ready", candidates: port.candidates, fingerprint: "sha-256 WW", tier: "memory" }),
        );
        return { terminate: () => Promise.resolve() };
      },
    });
    this.table = new SessionTable({
      ...shared,
      hub: this.hub.hub,
      port: this.here,
      logger: this.logger,
      workers: this.pool,
      times: this.times,
    });
  }

  /** Another application's table, which shares the threads. */
  tableOf(config: Partial<WebRtcConfig>): SessionTable {
    const { hub, here: port, logger, pool: workers } = this;
    return new SessionTable({
      ...this.options,
      config: { ...defaultWebRtcConfig, ...config },
      hub: hub.hub,
      port,
      logger,
      workers,
    });
  }

  async join(onEnd: (code: string) => void = () => {}, table = this.table, app = name.app, stream = name.stream) {
    const result = await this.hub.hub.acquire({ ...name, app, stream }, { protocol: "webrtc" });
    assert.ok(result.kind === "stream");
    const viewer = table.open(result.hold, silentLogger, "192.0.2.1", ({ code }) => onEnd(code));
    const playlist = table.playlistOf(result.hold.stream, "");
    assert.ok(!("refusal" in playlist));
    viewer.accept(
      { cname: "cname", formats: [video, audio] },
      { fingerprints: ["sha-256 AB"] },
      playlist.renditions[0]!,
    );
    this.run();
    return viewer;
  }

  run(): void {
    for (const { reader, room } of this.workers) reader.drain((record) => room.receive(record));
  }

  play(frames: number): void {
    for (let i = 0; i < frames; i++, this.frame++) {
      this.hub.source.push(opusSample(this.frame));
      this.hub.source.push(videoSample(this.frame, { isKeyframe: this.frame % 30 === 0, bytes: 3_000 }));
      this.run();
      this.hub.clock.advance(1000 / 30);
    }
  }
}

/** One viewer here, then one in the worker that the first made start, of a stream 45 pictures old. */
async function twoViewers(t: Threads) {
  await t.hub.hub.acquire(name, { protocol: "prewarm" });
  t.play(45);
  await t.join();
  t.here.peers[0]!.connect();
  await Promise.resolve();
  const ended: string[] = [];
  const viewer = await t.join((code) => ended.push(code));
  const worker = t.workers[0]!;
  worker.port.peers[0]?.connect();
  return { viewer, worker, ended, local: t.here.peers[0]!, remote: worker.port.peers[0]! };
}

test("a viewer in another thread gets the same packets, from the last key frame on", async () => {
  const t = new Threads();
  const { local, remote, viewer } = await twoViewers(t);
  assert.equal(t.here.peers.length, 1, "the second viewer is not here");
  assert.equal(viewer.port.fingerprint, "sha-256 WW");
  assert.equal(remote.iceUfrag, "ufrag0");
  t.play(40);
  const payloads = (peer: typeof local, type: number): string[] =>
    peer.of(type).map(({ payload, marker }) => `${marker} ${Buffer.from(payload).toString("base64")}`);
  assert.ok(payloads(local, 98).length > 100);
  assert.deepEqual(payloads(remote, 98), payloads(local, 98));
  assert.deepEqual(payloads(remote, 110), payloads(local, 110));
  const times = new Set(remote.of(98).map(({ timestamp }) => timestamp));
  assert.equal(times.size, 15 + 40);
  assert.equal(t.table.streams["default/app/live"]!.viewers, 1, "the worker's figures come with its next report");
  assert.equal(t.table.size, 2);
  t.workers[0]!.reportStats();
  assert.equal(t.table.streams["default/app/live"]!.viewers, 2);
  const other = new SessionTable({ ...t.options, hub: t.hub.hub, port: t.here, logger: t.logger, workers: t.pool });
  assert.deepEqual(other.streams, {}, "another table with the same workers does not count them again");
});

test("how long a viewer waited is counted in whichever thread it is", async () => {
  const t = new Threads();
  await twoViewers(t);
  const counts = () => [t.times.join.count, t.times.firstMedia.count];
  assert.equal(t.times.join.count, 2, "both are connected");
  t.play(4);
  assert.deepEqual(counts(), [2, 2], "both got media, at most 50 ms ago");
  t.play(10);
  assert.deepEqual(counts(), [2, 2], "each counts once");
});

test("its wishes reach the source, its end reaches signalling, and the stream's end reaches it", async () => {
  const t = new Threads();
  const { worker, remote, ended } = await twoViewers(t);
  remote.receive(serializeRtcp([{ type: "pli", senderSsrc: 1, mediaSsrc: 11 }]));
  t.hub.clock.advance(2_000);
  remote.receive(serializeRtcp([{ type: "pli", senderSsrc: 1, mediaSsrc: 11 }]));
  assert.ok(t.hub.source.keyframesAsked.length > 0);
  assert.equal(t.hub.viewers["webrtc"], 2);
  remote.receive(serializeRtcp([{ type: "bye", ssrcs: [11] }]));
  assert.deepEqual(ended, ["bye"]);
  assert.equal(t.hub.viewers["webrtc"], 1, "the hold is given back");
  t.run();
  assert.deepEqual(worker.room.streamStats, [], "a worker without viewers of a stream has no stream");

  const again: string[] = [];
  await t.join((code) => again.push(code));
  worker.port.peers.at(-1)!.connect();
  await t.hub.hub.close({ code: "shutdown" });
  t.run();
  assert.deepEqual(again, ["stream-ended"]);
  assert.equal(t.table.size, 0);
});

test("closing a viewer from here ends it there", async () => {
  const t = new Threads();
  const { worker, viewer, remote, ended } = await twoViewers(t);
  viewer.close({ code: "deleted" });
  viewer.close({ code: "deleted" });
  t.run();
  assert.equal(remote.state, "closed");
  assert.equal(worker.room.viewers, 0);
  assert.deepEqual(ended, ["deleted"]);
});

test("a drain ends viewers in every thread, says goodbye to each, and gives their streams back", async () => {
  const t = new Threads();
  const { worker, local, remote, ended } = await twoViewers(t);
  t.play(3);
  t.table.drain();
  assert.equal(t.table.refusal, "draining");
  t.table.close({ code: "drain" });
  assert.deepEqual([t.table.size, t.table.stats.ended["drain"], t.hub.viewers["webrtc"]], [0, 2, undefined]);
  assert.deepEqual(ended, ["drain"]);
  t.run();
  assert.equal(worker.room.viewers, 0);
  assert.deepEqual(worker.room.streamStats, [], "nobody is left there to send to");
  for (const peer of [local, remote]) {
    assert.equal(peer.state, "closed");
    const last = peer.rtcp.at(-1)!;
    assert.ok(
      last.some(({ type }) => type === "bye"),
      "players need not wait for silence",
    );
  }
});

test("a worker that fails ends its own viewers, counted, and is started again", async () => {
  const t = new Threads();
  const { worker, ended } = await twoViewers(t);
  worker.onExit("out of memory");
  assert.deepEqual(ended, ["worker-failed"]);
  assert.deepEqual([t.pool.stats.workers, t.pool.stats.failures, t.table.size], [0, 1, 1]);
  assert.equal(t.table.stats.ended["worker-failed"], 1);
  await t.join();
  assert.equal(t.here.peers.length, 2, "meanwhile viewers are served here");
  t.hub.clock.advance(1_000);
  await Promise.resolve();
  assert.equal(t.pool.stats.workers, 1);
  await t.join();
  assert.equal(t.workers[0]!.port.peers.length, 1, "the new worker has the new viewer");
});

test("a worker that does not keep up loses media up to a key frame, never a command", async () => {
  const t = new Threads();
  const { worker, remote } = await twoViewers(t);
  const { reader } = worker;
  const big = (isKeyframe: boolean): void =>
    t.hub.source.push(videoSample(t.frame++, { isKeyframe, bytes: 1_000_000 }));
  for (let i = 0; i < 12; i++) big(false);
  assert.ok(t.pool.stats.dropped > 0);
  const viewer = t.join();
  reader.drain((record) => worker.room.receive(record));
  await viewer;
  t.hub.clock.advance(1_000);
  t.run();
  assert.equal(worker.room.viewers, 2, "the viewer who came meanwhile is there");
  const before = remote.of(98).length;
  t.hub.source.push(videoSample(t.frame++, { isKeyframe: false, bytes: 1_000 }));
  t.run();
  t.hub.clock.advance(100);
  assert.equal(remote.of(98).length, before, "nothing that does not join up");
  t.hub.source.push(videoSample(t.frame++, { isKeyframe: true, bytes: 1_000 }));
  t.run();
  t.hub.clock.advance(100);
  assert.ok(remote.of(98).length > before);
});

test("with few viewers no thread is started", async () => {
  const t = new Threads(100);
  for (let i = 0; i < 99; i++) await t.join();
  assert.equal(t.workers.length, 0);
  await t.join();
  await t.join();
  assert.equal(t.workers.length, 1);
});

test("kept apart, every viewer has its place in a worker, and the first waits until that is up", async () => {
  const t = new Threads(100, {}, 2, true);
  assert.equal(t.workers.length, 0, "nothing starts before somebody comes");
  const prepared = t.table.prepare();
  assert.deepEqual([t.workers.length, t.pool.isPrepared], [1, false]);
  await prepared;
  assert.ok(t.pool.isPrepared);
  assert.equal(t.table.prepare(), undefined, "the next one need not wait");
  for (let i = 0; i < 99; i++) await t.join();
  assert.deepEqual([t.here.peers.length, t.workers.length], [0, 1]);
  for (let i = 0; i < 21; i++) await t.join();
  assert.equal(t.here.peers.length, 0);
  assert.equal(t.workers[0]!.port.peers.length + t.workers[1]!.port.peers.length, 120);
  assert.ok(t.workers[1]!.port.peers.length >= 19, "a hundred in one, then the next");
});

test("kept apart, a viewer is served here when the worker does not come up", async () => {
  const t = new Threads(100, {}, 1, true);
  const failing = t.table.prepare();
  t.workers[0]!.onExit("no port");
  await failing;
  await t.join();
  assert.equal(t.here.peers.length, 1);
  const none = new Threads(100, {}, 0, true);
  assert.equal(none.table.prepare(), undefined, "one port is not enough for two threads");
  assert.ok(none.pool.isPrepared);
  await none.join();
  assert.equal(none.here.peers.length, 1);
});

test("in one thread every application's viewers are sent by the settings of their own", async () => {
  const t = new Threads();
  const { worker } = await twoViewers(t);
  const other = t.tableOf({ maxPacketBytes: 600 });
  await t.join(undefined, other, "other");
  await t.join(undefined, other, "other");
  const [first, second] = worker.port.peers;
  assert.equal(worker.port.peers.length + t.here.peers.length, 4);
  assert.ok(first && second, "both applications have a viewer there");
  second.connect();
  t.play(40);
  const largest = (peer: typeof first): number => Math.max(...peer.of(98).map(({ payload }) => payload.length + 12));
  assert.ok(largest(first) > 900, `${largest(first)}`);
  assert.ok(largest(second) > 400 && largest(second) <= 600, `${largest(second)}`);
});

test("a stream takes no more threads than StreamWorkerCount says, an application's streams no more than both allow", async () => {
  const placed = async (config: Partial<WebRtcConfig>, streams: readonly string[]): Promise<number[]> => {
    const t = new Threads(0, config, 4);
    for (let round = 0; round < 40; round++) {
      for (const stream of streams) await t.join(undefined, t.table, "app", stream);
      await Promise.resolve();
    }
    return [t.here, ...t.workers.map(({ port }) => port)].map(({ peers }) => peers.length);
  };
  const threads = (counts: readonly number[]): number => counts.slice(1).filter((count) => count > 0).length;
  assert.equal(threads(await placed({}, ["live"])), 4);
  assert.equal(threads(await placed({ maxStreamThreads: 2 }, ["live"])), 2);
  assert.equal(threads(await placed({ maxStreamThreads: 1, maxAppThreads: 3 }, ["a", "b", "c", "d"])), 3);
  assert.deepEqual(await placed({ maxStreamThreads: 0, maxAppThreads: 0 }, ["live"]), [40]);
});
