// A WebRTC viewer while the edge goes from origin to origin: what a receiver sees of it in sequence numbers and timestamps.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openFailoverWorld } from "../support/failover-world.ts";
import { until } from "../support/until.ts";
import { playOnce } from "../support/whep-viewer.ts";

const clockRates = { video: 90_000, audio: 48_000 } as const;
/** The clip's: 25 pictures a second, and Opus of 20 ms. */
const steps = { video: 3_600, audio: 960 } as const;

interface Received {
  readonly packets: number;
  /** Of the first packet to the last, as its timestamps say. */
  readonly spanMs: number;
  /** Sequence numbers and timestamps that do not follow from the packet before, in words. */
  readonly breaks: readonly string[];
}

/** One RTP stream in the order of arrival. */
function judge(packets: readonly Buffer[], kind: keyof typeof steps): Received {
  const breaks: string[] = [];
  let ticks = 0;
  for (const [i, packet] of packets.entries()) {
    const before = packets[i - 1];
    if (!before) continue;
    const numbers = (packet.readUInt16BE(2) - before.readUInt16BE(2)) & 0xffff;
    const step = (packet.readUInt32BE(4) - before.readUInt32BE(4)) | 0;
    // A picture's packets share its time, and the last one says that it is.
    const wanted = kind === "video" && before[1]! < 128 ? 0 : steps[kind];
    if (numbers !== 1 || step !== wanted) breaks.push(`packet ${i}: number +${numbers}, time +${step}`);
    ticks += step;
  }
  return { packets: packets.length, spanMs: (ticks * 1_000) / clockRates[kind], breaks };
}

test("through three switches of origin in a row a viewer's numbers and times go on, without a picture or a sound missing", async (t) => {
  await using world = await openFailoverWorld({ isWebRtc: true });
  const { edge, first, second } = world;
  await using play = await playOnce(`${edge.url}/app/stream/whep`);
  const { rtp } = play.transport;
  const of = (kind: keyof typeof steps): Buffer[] => {
    const payloadType = kind === "video" ? 108 : 111;
    return rtp.filter((packet) => (packet[1]! & 127) === payloadType);
  };
  const pictures = (): number => of("video").filter((packet) => packet[1]! >= 128).length;
  const more = async (count: number): Promise<void> => {
    const enough = pictures() + count;
    await until(`${count} more pictures come`, 10_000, () => pictures() >= enough);
  };
  await more(25);
  const startMs = performance.now();
  const before = { video: of("video").length, audio: of("audio").length };
  for (const [left, next] of [
    [first, second],
    [second, first],
    [first, second],
  ] as const) {
    await next.up();
    assert.ok(left.openCount > 0, "the edge pulls from the one that ends");
    const came = next.connects.length;
    await left.down();
    await until("the edge pulls from the other one", 5_000, () => next.connects.length > came);
    await more(40);
  }
  const passedMs = performance.now() - startMs;
  for (const kind of ["video", "audio"] as const) {
    const all = judge(of(kind), kind);
    const since = judge(of(kind).slice(before[kind] - 1), kind);
    t.diagnostic(`${kind}: ${JSON.stringify({ ...all, breaks: all.breaks.length })} in ${Math.round(passedMs)} ms`);
    assert.deepEqual(all.breaks, []);
    assert.ok(Math.abs(since.spanMs - passedMs) < 500, `${kind} of ${since.spanMs} ms in ${passedMs} ms`);
  }
});
