// A process that is an OVT origin with one live stream, `app/stream`, paced exactly: 720p H.264 of 2.5 Mbit/s (or as many kbit/s
// as its argument says) and Opus of 128 kbit/s. Tells its parent the port, and a digest of every RTP payload that WebRTC may make of it.
import { createHash } from "node:crypto";
import { createServer } from "node:net";
import { createPacketizer } from "../../media-node/rtp/packetizer.ts";
import { PacketSlab } from "../../media-node/rtp/packet-slab.ts";
import { loopedSample, makeClip, type Clip } from "./clip.ts";
import { FedSource, openTestNode, portOf } from "./ovt-kit.ts";

export interface LiveOriginMessage {
  readonly port: number;
  /** SHA-1 of each payload, base64. */
  readonly payloads: readonly string[];
  readonly bitrate: number;
  /** Of the clip that it plays again and again: when each sample is due, and the payload bytes of its packets; then its end. */
  readonly pattern: readonly { readonly atMs: number; readonly sizes: readonly number[] }[];
}

const epochMs = Date.now() - 60_000;
/** As an origin does for whoever joins. */
const burstMs = 3_000;

function packetsOf(clip: Clip): Buffer[][] {
  const slab = new PacketSlab();
  const packetizers = clip.tracks.map(({ codec, decoderConfig }) =>
    createPacketizer(codec, { maxPacketBytes: 1200, decoderConfig })!,
  );
  return clip.samples.map(({ trackId, data }) => {
    slab.begin(0);
    packetizers[trackId]!.packetize(data, slab);
    return Array.from({ length: slab.count }, (_, i) => Buffer.from(slab.payload(i)));
  });
}

function timeOfSample(clip: Clip, index: number): number {
  const { dts, trackId } = loopedSample(clip, index, 0);
  return (dts * 1000) / clip.tracks[trackId]!.timescale;
}

function play(clip: Clip, source: FedSource): void {
  const nowMs = (): number => performance.timeOrigin + performance.now() - epochMs;
  const timeOf = (index: number): number => timeOfSample(clip, index);
  let index = Math.floor((nowMs() - burstMs) / clip.durationMs) * clip.samples.length;
  while (timeOf(index) < nowMs() - burstMs) index++;
  while (!(loopedSample(clip, index, 0).isKeyframe && loopedSample(clip, index, 0).trackId === 0)) index--;
  const deliver = (): void => {
    while (timeOf(index) <= nowMs()) source.push(loopedSample(clip, index++, 0));
    setTimeout(deliver, Math.max(1, timeOf(index) - nowMs()));
  };
  deliver();
}

const kbps = Number(process.argv[2] ?? 2_500);
const rate = ["-b:v", `${kbps}k`, "-minrate", `${kbps}k`, "-maxrate", `${kbps}k`, "-bufsize", `${kbps / 2}k`];
const clip = await makeClip({
  seconds: 8,
  gop: 60,
  size: "1280x720",
  audio: "opus",
  videoArgs: ["-profile:v", "baseline", "-bf", "0", "-sc_threshold", "0", ...rate],
});
const packets = packetsOf(clip);
const bytes = clip.samples.reduce((sum, { data }) => sum + data.length, 0);
const source = new FedSource({
  tracks: clip.tracks.map((track) => (track.kind === "audio" ? { ...track, bitrate: 128_000 } : track)),
  playlists: [],
  epochMs,
  isEpochShared: true,
  originId: "live-origin",
  path: [],
});
const node = openTestNode("origin", {
  fed: { stream: source },
  recentMs: burstMs,
  publisher: { maxIdlePerAddress: 64 },
});
const held = await node.hub.acquire({ vhost: "default", app: "app", stream: "stream" }, { protocol: "llhls" });
if (held.kind !== "stream") throw new Error("the stream cannot be held");
play(clip, source);
const server = createServer({ noDelay: true }, (socket) => node.publisher.accept(socket, "127.0.0.1"));
server.listen(0, "127.0.0.1", () => {
  const message: LiveOriginMessage = {
    port: portOf(server),
    payloads: packets.flat().map((payload) => createHash("sha1").update(payload).digest("base64")),
    pattern: [
      ...packets.map((some, i) => ({ atMs: timeOfSample(clip, i), sizes: some.map(({ length }) => length) })),
      { atMs: clip.durationMs, sizes: [] },
    ],
    bitrate: (bytes * 8000) / clip.durationMs,
  };
  process.send!(message);
});
process.on("disconnect", () => process.exit(0));
