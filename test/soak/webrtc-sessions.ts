// A hundred thousand viewers come and go on one port (ICE, DTLS, media, a report, goodbye): nothing of them remains, and memory
// is what it was after the first ten thousand, within 5 %, when garbage has been collected.
//
// The first ten thousand warm up and are not counted: this process is the node and all its viewers, and until each code path has
// been compiled and each buffer has found its size its memory rises whoever comes. Garbage is collected before memory is looked at,
// because V8 has no reason to do so by itself before a heap is large: without, it is a matter of when the last collection was.
// `npm run soak -- webrtc-sessions [COUNT]`: 100,000 take about five minutes of one core.
import assert from "node:assert/strict";
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { serializeRtcp } from "../../media-node/rtp/rtcp.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { openMediaPort } from "../../media-node/webrtc/transport/open-media-port.ts";
import { TransportViewer, viewerCertificate } from "../support/transport-viewer.ts";

const count = Number(process.argv[2] ?? 100_000);
const atOnce = 20;
const tenths = 10;
const warmUp = Math.min(count, 10_000);
const tolerance = 0.05;
/** Who waits shares the machine: below the port's own deadline for connecting, above any pause of a busy one. */
const patienceMs = 14_000;

const port = await openMediaPort({
  addresses: ["127.0.0.1"],
  advertisedAddresses: ["127.0.0.1"],
  clock: systemClock,
  logger: silentLogger,
});
const report = serializeRtcp([{ type: "receiver-report", ssrc: 1, reports: [] }]);
const packet = new Uint8Array(212);
packet[0] = 0x80;
const batch = { slab: packet, offsets: Uint32Array.of(0, packet.length), count: 1 };
const ended: Record<string, number> = {};

async function visit(index: number): Promise<void> {
  let isReported = false;
  const peer = port.open({
    onState: (state, reason) => {
      if (state === "closed") ended[reason] = (ended[reason] ?? 0) + 1;
    },
    onRtcp: () => (isReported = true),
  });
  peer.setRemote({ fingerprints: [viewerCertificate.fingerprint] });
  const viewer = await TransportViewer.open(peer, port.candidates[0]!, index % 4 === 0);
  await viewer.connect(patienceMs);
  peer.queueRtp(batch, 0, 1, { ssrc: 1, payloadType: 98, packetIndex: index % 65_536 });
  port.flush();
  viewer.sendRtcp(report);
  await viewer.until(() => isReported && viewer.rtp.length === 1, patienceMs);
  // Half of them say goodbye, half are sent away.
  if (index % 2 === 0) viewer.shutdown();
  else peer.close("stopped");
  await viewer.until(() => peer.state === "closed", patienceMs);
  viewer.close();
}

let visits = 0;
/** Until so many have come and gone in all. */
async function visitUntil(total: number): Promise<void> {
  const one = async (): Promise<void> => {
    while (visits < total) await visit(visits++);
  };
  await Promise.all(Array.from({ length: atOnce }, one));
}

setFlagsFromString("--expose-gc");
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what that flag adds to new contexts
const collect = runInNewContext("gc") as (how: { type: "major"; flavor: "last-resort" }) => void;

/** Bytes that are left when garbage is collected. */
function left(): { readonly resident: number; readonly heap: number } {
  collect({ type: "major", flavor: "last-resort" });
  return { resident: process.memoryUsage.rss(), heap: getHeapStatistics().used_heap_size };
}

await visitUntil(warmUp);
const base = left();
const memory: number[] = [];
const startMs = performance.now();
for (let tenth = 1; tenth <= tenths; tenth++) {
  await visitUntil(warmUp + (tenth * count) / tenths);
  memory.push(process.memoryUsage.rss());
}
const end = left();
assert.equal(port.stats["peers"], 0);
assert.equal(port.stats["paths"], 0);
assert.equal(
  Object.values(ended).reduce((sum, n) => sum + n, 0),
  warmUp + count,
);
const mb = (bytes: number): string => (bytes / 1e6).toFixed(1);
const seconds = (performance.now() - startMs) / 1000;
console.log(
  `webrtc-sessions: ${count} viewers in ${seconds.toFixed(0)} s after ${warmUp} to warm up, ${JSON.stringify(ended)}
  resident ${mb(base.resident)} MB before, ${mb(end.resident)} after, with garbage ${memory.map(mb).join(", ")}
  still referred to ${mb(base.heap)} MB before, ${mb(end.heap)} after`,
);
// Of fewer the process is not warm yet.
if (count >= 10_000) {
  assert.ok(end.resident < base.resident * (1 + tolerance), "memory is back within 5 %");
  assert.ok(end.heap < base.heap * (1 + tolerance), "nothing of a viewer is still referred to");
}
await port.close();
