// Bad networks between GStreamer's RTSP server and us: what arrives is exact, what is missing is counted up to the next
// key frame, and the pull goes on by itself.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Sample } from "../../media-node/core/sample.ts";
import { StreamHub } from "../../media-node/core/stream-hub.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import type { MediaCounters } from "../../media-node/rtsp/media-receiver.ts";
import { openRtspSession, openRtspSource } from "../../media-node/rtsp/rtsp-source.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { collectSource, dialLoopback } from "../support/collect-source.ts";
import { runProgram } from "../support/ffmpeg.ts";
import { RtspFaultProxy, type DatagramFaults } from "../support/rtsp-fault-proxy.ts";
import { startRtspServer, type RtspServerProcess } from "../support/rtsp-server.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { until } from "../support/until.ts";

const framesPerSecond = 25;
const groupFrames = 10;
const frameCount = 4 * framesPerSecond;

let folder: string;
let server: RtspServerProcess;
/** Hash of every access unit of the clip, in order. */
let reference: string[];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "hearth-faults-"));
  const file = join(folder, "clip.mp4");
  const source = [
    "-f",
    "lavfi",
    "-i",
    `testsrc2=size=640x360:rate=${framesPerSecond}`,
    "-frames:v",
    String(frameCount),
  ];
  const encode = ["-c:v", "libx264", "-bf", "0", "-g", String(groupFrames), "-sc_threshold", "0", "-b:v", "2M"];
  const { code, stderr } = await runProgram("ffmpeg", [
    "-v",
    "error",
    ...source,
    "-pix_fmt",
    "yuv420p",
    ...encode,
    file,
  ]);
  assert.equal(code, 0, stderr);
  const launch = `filesrc location=${file} ! qtdemux ! h264parse ! rtph264pay name=pay0 config-interval=-1`;
  server = await startRtspServer("--mount", "/clip", launch);
  const { samples } = await pullBy("tcp", server.port);
  assert.equal(samples.length, frameCount);
  reference = samples.map(hashOf);
});
after(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

const hashOf = ({ data }: Sample): string => createHash("sha256").update(data).digest("hex");

/** Everything that comes until the server has sent the whole clip. */
async function pullBy(
  transport: "tcp" | "udp",
  port: number,
): Promise<{ samples: readonly Sample[]; counters: MediaCounters }> {
  const options = { dial: dialLoopback, clock: systemClock, logger: silentLogger, settingsOf: () => ({ transport }) };
  const url = `rtsp://127.0.0.1:${port}/clip`;
  const session = await openRtspSession(url, options, AbortSignal.timeout(10_000));
  const { samples, ended } = collectSource(session);
  let isOver = false;
  void ended.then(() => (isOver = true));
  let last = { count: 0, atMs: performance.now() };
  await until("the clip is over", 30_000, () => {
    if (session.counters.get(0)!.packets !== last.count) {
      last = { count: session.counters.get(0)!.packets, atMs: performance.now() };
    }
    return isOver || samples.length === frameCount || (samples.length > 0 && performance.now() - last.atMs > 1_500);
  });
  const counters = session.counters.get(0)!;
  await session.close({ code: "done" });
  return { samples, counters };
}

/** Every sample is a picture of the clip, bit for bit and in order, and every gap ends with a key frame. @returns pictures missing */
function assertExactOrGap(samples: readonly Sample[]): number {
  const places = samples.map((sample) => reference.indexOf(hashOf(sample)));
  assert.ok(!places.includes(-1), "a picture that the clip does not hold");
  let missing = places[0]!;
  for (const [index, place] of places.slice(1).entries()) {
    const step = place - places[index]!;
    assert.ok(step >= 1, `picture ${place} after ${places[index]}`);
    if (step > 1) assert.equal(samples[index + 1]!.isKeyframe, true, `picture ${place} after a gap is no key frame`);
    missing += step - 1;
  }
  for (const [index, { dts }] of samples.slice(1).entries()) assert.ok(dts > samples[index]!.dts);
  return missing;
}

const overUdp = async (faults: DatagramFaults) => {
  await using proxy = await RtspFaultProxy.open(server.port, faults);
  const { samples, counters } = await pullBy("udp", proxy.port);
  return { samples, counters, dropped: proxy.dropped, missing: assertExactOrGap(samples) };
};

test("datagrams that overtake each other by 40 ms: every picture is there", async () => {
  const { samples, counters, missing } = await overUdp({ loss: 0, jitterMs: 40, random: seededRandom(1) });
  assert.ok(counters.reordered > 50, `${counters.reordered} reordered`);
  assert.deepEqual([counters.lost, missing, samples.length], [0, 0, frameCount]);
});

test("2 % of the datagrams lost and all of them late: exact pictures, gaps up to key frames, all of it counted", async (t) => {
  const { samples, counters, dropped, missing } = await overUdp({ loss: 0.02, jitterMs: 20, random: seededRandom(2) });
  t.diagnostic(
    `${dropped} lost on the way; ${JSON.stringify(counters)}; ${samples.length} pictures, ${missing} missing`,
  );
  assert.ok(dropped > 5 && missing > 0);
  // Those behind the last packet that came cannot be known.
  assert.ok(counters.lost <= dropped && counters.lost >= dropped - 3, `${counters.lost} of ${dropped}`);
  assert.ok(samples.length > frameCount / 4, `${samples.length} pictures`);
});

test("a cut, a freeze and a restart of the server: the pull resumes at a key frame each time, with exact pictures", async (t) => {
  let current = await startRtspServer("--mount", "/clip", clipLaunch());
  const { port } = current;
  await using proxy = await RtspFaultProxy.open(port);
  const open = openRtspSource({ dial: dialLoopback, clock: systemClock, logger: silentLogger });
  const hub = new StreamHub({
    clock: systemClock,
    logger: silentLogger,
    nodeId: "node",
    openers: new Map([["rtsp", open]]),
    plan: async () => ({
      urls: [`rtsp://127.0.0.1:${proxy.port}/clip`],
      from: "rule",
      noInputTimeoutMs: 1_000,
      unusedTimeoutMs: 60_000,
      graceMs: 30_000,
      isPersistent: false,
    }),
  });
  try {
    const acquired = await hub.acquire({ vhost: "v", app: "app", stream: "s" }, { protocol: "llhls" });
    assert.ok(acquired.kind === "stream", JSON.stringify(acquired));
    const samples: Sample[] = [];
    const ends: string[] = [];
    acquired.hold.stream.addReader({
      onSample: (sample) => void samples.push(sample),
      onEnd: ({ code }) => void ends.push(code),
    });
    const faults = {
      cut: () => proxy.cut(),
      freeze: () => proxy.freeze(),
      restart: async () => {
        await current.kill();
        current = await startRtspServer("--port", String(port), "--mount", "/clip", clipLaunch());
      },
    };
    const resumedAt = [0];
    for (const [name, fault] of Object.entries(faults)) {
      await until(`pictures before the ${name}`, 15_000, () => samples.length > resumedAt.at(-1)! + 12);
      const before = proxy.connections;
      const startedMs = performance.now();
      await fault();
      await until(`a new connection after the ${name}`, 20_000, () => proxy.connections > before);
      const { length } = samples;
      await until(`pictures after the ${name}`, 20_000, () => samples.length > length);
      t.diagnostic(`${name}: pictures again after ${Math.round(performance.now() - startedMs)} ms`);
      assert.equal(samples[length]!.isKeyframe, true, `the first picture after the ${name}`);
      resumedAt.push(length);
    }
    const places = samples.map((sample) => reference.indexOf(hashOf(sample)));
    for (const [index, place] of places.entries()) {
      const isResumed = resumedAt.includes(index);
      assert.ok(place >= 0, `sample ${index} is no picture of the clip`);
      if (!isResumed) assert.equal(place, places[index - 1]! + 1, `sample ${index}`);
    }
    for (const [index, { dts }] of samples.slice(1).entries()) assert.ok(dts > samples[index]!.dts);
    assert.deepEqual(ends, []);
  } finally {
    await hub.close({ code: "shutdown" });
    await current.close();
  }
});

function clipLaunch(): string {
  return `filesrc location=${join(folder, "clip.mp4")} ! qtdemux ! h264parse ! rtph264pay name=pay0 config-interval=-1`;
}
