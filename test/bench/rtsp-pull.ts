// How many cameras can one core take in? CPU time from the bytes of interleaved RTP to samples, for a camera of
// 2.5 Mbit/s, beside copying the same bytes once. Wanted: 200 cameras on less than 60 % of a core, of which this half,
// without sockets, may take 30 %.
import assert from "node:assert/strict";
import { RtpTimeline } from "../../media-node/rtp/rtp-timeline.ts";
import { serializeInterleavedFrame } from "../../media-node/rtsp/interleaved-frame.ts";
import { planSession } from "../../media-node/rtsp/media-plan.ts";
import { MediaReceiver } from "../../media-node/rtsp/media-receiver.ts";
import { RtspDialogue } from "../../media-node/rtsp/rtsp-dialogue.ts";
import { parseRtspUrl } from "../../media-node/rtsp/rtsp-url.ts";
import { parseSdp } from "../../media-node/sdp/session-description.ts";

const seconds = 100;
const framesPerSecond = 25;
const packetsPerFrame = 9;
const readLength = 13_000;
const rounds = 8;
const cameras = 200;

const [plan] = planSession(parseSdp("v=0\nm=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n")).media;

/** Fragmented pictures of 12.6 kB, as a socket delivers them: each read in memory of its own. */
function reads(): Buffer[] {
  const frames: Uint8Array[] = [];
  let sequence = 0;
  for (let index = 0; index < seconds * framesPerSecond; index++) {
    for (let place = 0; place < packetsPerFrame; place++) {
      const isLast = place === packetsPerFrame - 1;
      const packet = Buffer.alloc(12 + 1_400, 0x55);
      packet.set([0x80, 96 | (isLast ? 0x80 : 0)]);
      packet.writeUInt16BE(sequence++ & 0xffff, 2);
      packet.writeUInt32BE(index * 3_600, 4);
      const flags = (place === 0 ? 0x80 : 0) | (isLast ? 0x40 : 0);
      packet.set([0x7c, flags | (index % 50 === 0 ? 5 : 1), 0x88], 12);
      frames.push(serializeInterleavedFrame({ channel: 0, payload: packet }));
    }
  }
  const bytes = Buffer.concat(frames);
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += readLength) out.push(Buffer.from(bytes.subarray(at, at + readLength)));
  return out;
}

function pull(chunks: readonly Buffer[]): number {
  let samples = 0;
  let nowMs = 0;
  const clock = new RtpTimeline({ epochMs: 0 }).addTrack(90_000);
  const onSample = (): void => void samples++;
  const receiver = new MediaReceiver({ plan: plan!, clock, ssrc: 1, cname: "bench", onSample, onTrack() {} });
  const onInterleaved = (_channel: number, packet: Uint8Array): void => receiver.receiveRtp(packet, nowMs, nowMs);
  const dialogue = new RtspDialogue({ url: parseRtspUrl("rtsp://camera/"), random: () => 0.5, onInterleaved });
  dialogue.begin(0);
  for (const chunk of chunks) {
    nowMs += 40;
    dialogue.receive(chunk, nowMs);
  }
  return samples;
}

function copy(chunks: readonly Buffer[]): number {
  return chunks.reduce((sum, chunk) => sum + new Uint8Array(chunk).length, 0);
}

/** The best of all rounds, in milliseconds of CPU: the machine has other things to do. */
function best(run: () => void): number {
  let bestMs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const { user, system } = process.cpuUsage();
    run();
    const used = process.cpuUsage({ user, system });
    bestMs = Math.min(bestMs, (used.user + used.system) / 1_000);
  }
  return bestMs;
}

const chunks = reads();
assert.equal(pull(chunks), seconds * framesPerSecond);
const pullMs = best(() => pull(chunks));
const copyMs = best(() => copy(chunks));
const coreShare = (pullMs * cameras) / (seconds * 1_000);
const nanoseconds = (pullMs * 1e6) / (seconds * framesPerSecond * packetsPerFrame);
console.log(
  `pull: ${nanoseconds.toFixed(0)} ns a packet; ${cameras} cameras take ${(coreShare * 100).toFixed(1)} % of a core`,
);
console.log(`ratio to one copy of the bytes: ${(pullMs / copyMs).toFixed(1)}`);
assert.ok(coreShare < 0.3, "more than its half of 60 % of a core");
