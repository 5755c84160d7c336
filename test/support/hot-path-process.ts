// `hot-path-process.ts TIER FRAMES`: how many bytes of the heap one packet to one viewer costs, from the published sample to the
// socket. Measured as the difference between many viewers and few, so that what a frame costs once, and what this
// measurement does itself, does not count; without garbage collections, which a young generation larger than all of it spares.
import { GCProfiler } from "node:v8";
import { openMediaPort } from "../../media-node/webrtc/transport/open-media-port.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { defaultWebRtcConfig } from "../../media-node/webrtc/config.ts";
import { SessionTable } from "../../media-node/webrtc/session-table.ts";
import type { SenderFormat } from "../../media-node/webrtc/track-sender.ts";
import { ViewerSession } from "../../media-node/webrtc/viewer-session.ts";
import { videoSample } from "./synthetic-stream.ts";
import { TransportViewer, viewerCertificate } from "./transport-viewer.ts";
import { TestHub } from "./webrtc-room.ts";

const [tier, frames] = [process.argv[2], Number(process.argv[3])];
const few = 5;
const many = 45;
const packetsPerFrame = 10;

const hub = new TestHub();
const port = await openMediaPort({
  addresses: ["127.0.0.1"],
  advertisedAddresses: ["127.0.0.1"],
  tcp: false,
  clock: hub.clock,
  logger: silentLogger,
  ...(tier === "portable" && { force: { send: "portable", crypto: "portable" } as const }),
});
const table = new SessionTable({
  hub: hub.hub,
  port,
  clock: hub.clock,
  logger: silentLogger,
  random: (length) => new Uint8Array(length).fill(0x12),
  config: defaultWebRtcConfig,
  defer: setImmediate,
});
const video: SenderFormat = {
  kind: "video",
  codec: "h264",
  ssrc: 11,
  payloadType: 98,
  rtxSsrc: 12,
  rtxPayloadType: 99,
};

async function join(): Promise<void> {
  const result = await hub.hub.acquire({ vhost: "default", app: "app", stream: "live" }, { protocol: "webrtc" });
  if (result.kind !== "stream") throw new Error(result.kind);
  const session = table.open(result.hold, silentLogger, "192.0.2.1", () => {});
  const playlist = table.playlistOf(result.hold.stream, "");
  if (!(session instanceof ViewerSession) || "refusal" in playlist) throw new Error("no session");
  const remote = { fingerprints: [viewerCertificate.fingerprint] };
  session.accept({ cname: "cname", formats: [video] }, remote, playlist.renditions[0]!);
  await (await TransportViewer.open(session.peer, port.candidates[0]!)).connect();
}

let next = 0;
/** Made beforehand: a sample is its source's. */
const samplesFor = (count: number) =>
  Array.from({ length: count }, (_, i) =>
    videoSample(next + i, { isKeyframe: (next + i) % 30 === 0, bytes: packetsPerFrame * 1_150 }),
  );

function play(count: number): { readonly bytes: number; readonly packets: number; readonly collections: number } {
  const samples = samplesFor(count);
  next += count;
  const { packetsOut: before = 0, droppedWouldBlock: droppedBefore = 0 } = port.stats;
  globalThis.gc!();
  const profiler = new GCProfiler();
  profiler.start();
  const heapBefore = process.memoryUsage().heapUsed;
  for (const sample of samples) {
    hub.source.push(sample);
    hub.clock.advance(1_000 / 30);
  }
  const bytes = process.memoryUsage().heapUsed - heapBefore;
  const collections = profiler.stop().statistics.length;
  const { packetsOut: after = 0, droppedWouldBlock: dropped = 0 } = port.stats;
  return { bytes, packets: after + dropped - before - droppedBefore, collections };
}
const turns = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

const measured = [];
for (const viewers of [few, many]) {
  while (table.size < viewers) await join();
  // Everything is compiled, and every ring has its size.
  for (let i = 0; i < 10; i++) {
    play(Math.ceil(frames / 10));
    await turns();
  }
  measured.push(play(frames));
  await turns();
}
const [small, large] = measured as [ReturnType<typeof play>, ReturnType<typeof play>];
process.send!({
  tier: port.tier,
  packets: large.packets,
  collections: small.collections + large.collections,
  bytesPerPacket: (large.bytes - small.bytes) / (large.packets - small.packets),
  bytesPerFrame: small.bytes / frames,
});
process.exit(0);
