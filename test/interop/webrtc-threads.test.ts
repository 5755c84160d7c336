// Viewers in a media thread of their own: signalling here, media there, and what a thread that dies takes with it.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { ffmpegEncoders, findProgram } from "../../media-node/transcoding/ffmpeg-encoder.ts";
import { OpusStreams } from "../../media-node/transcoding/opus-streams.ts";
import { makeClip } from "../support/clip.ts";
import { LoadViewer } from "../support/load-viewer.ts";
import { loopingSource } from "../support/looping-source.ts";
import { until } from "../support/until.ts";
import { openWebRtcNode, type WebRtcNode } from "../support/webrtc-node.ts";

let node: WebRtcNode;
const audience = new Set<LoadViewer>();
let ticking: NodeJS.Timeout;

before(async () => {
  const clip = await makeClip({ seconds: 4, gop: 30, audio: "opus" });
  const source = loopingSource(clip, { epochMs: Date.now() - 60_000, burstMs: 2_000 });
  node = await openWebRtcNode(source, { maxWorkers: 1 });
  ticking = setInterval(() => {
    for (const viewer of audience) viewer.tick(performance.now());
  }, 5);
});

after(async () => {
  clearInterval(ticking);
  for (const viewer of audience) viewer.close();
  await node?.[Symbol.asyncDispose]();
});

const join = (at = node): Promise<LoadViewer> =>
  LoadViewer.join(`${at.url.replace("http", "ws")}/app/stream`, { checkEvery: 1, isGenuine: () => true }, (viewer) =>
    audience.add(viewer),
  );

async function expectMedia(viewer: LoadViewer): Promise<void> {
  const { packets } = viewer;
  await until("media flows", 10_000, () => viewer.packets > packets + 50);
  assert.equal(viewer.forged, 0);
  assert.equal(viewer.lost, 0);
}

test("the second viewer is served by a thread of its own, from the key frame on, on another port", async () => {
  const first = await join();
  await until("the thread serves", 10_000, () => node.workers.stats.workers === 1);
  const second = await join();
  await Promise.all([expectMedia(first), expectMedia(second)]);
  assert.notEqual(first.remotePort, second.remotePort);
  await until("its figures arrive", 5_000, () => node.guest.stats.streams["default/app/stream"]?.viewers === 2);
  assert.ok(node.workers.stats.port["bytesOut"]! > 1_000);
  assert.deepEqual(node.hub.list()[0]?.viewers, { webrtc: 2 });
});

test("AAC is heard as Opus by viewers in every thread", async () => {
  const clip = await makeClip({ seconds: 4, gop: 30, audio: "aac" });
  const program = findProgram("ffmpeg", process.env["PATH"] ?? "");
  assert.ok(program, "this test needs ffmpeg: apt-get install ffmpeg");
  let sound: OpusStreams | undefined;
  await using loud = await openWebRtcNode(loopingSource(clip, { epochMs: Date.now() - 60_000, burstMs: 2_000 }), {
    maxWorkers: 1,
    hubFor: (hub) => {
      const findEncoder = () => ffmpegEncoders(program);
      sound = new OpusStreams({ hub, findEncoder, clock: systemClock, logger: silentLogger, maxEncoders: 1 });
      return sound;
    },
  });
  const here = await join(loud);
  await until("the thread serves", 10_000, () => loud.workers.stats.workers === 1);
  const there = await join(loud);
  assert.notEqual(here.remotePort, there.remotePort);
  await until("both hear sound beside the picture", 15_000, () => here.streams === 2 && there.streams === 2);
  await Promise.all([expectMedia(here), expectMedia(there)]);
  assert.equal(sound?.counters.running, 1, "one encoder for all threads");
  for (const viewer of [here, there]) {
    audience.delete(viewer);
    viewer.close();
  }
  await sound?.close({ code: "shutdown" });
});

test("a thread that dies ends its own viewers; it is started again and takes new ones", async () => {
  const here = await join();
  assert.equal(node.guest.stats.sessions, 3);
  const there = [...audience].filter(({ remotePort }) => remotePort !== [...audience][0]!.remotePort);
  await node.threads[0]!.terminate();
  await until("its viewers are ended", 5_000, () => node.guest.stats.sessions === 3 - there.length);
  assert.equal(node.guest.stats.ended["worker-failed"], there.length);
  await expectMedia([...audience][0]!);
  await until("another thread serves", 10_000, () => node.workers.stats.workers === 1);
  const next = await join();
  await expectMedia(next);
  assert.equal(node.workers.stats.failures, 1);
  here.close();
});
