// What does it cost to serve many edges? CPU time per delivered gigabit of an OVT origin with 30 or 50 edges pulling one
// 2.8 Mbit/s stream, beside a bare TCP server that writes the same bytes at the same times. The edges are another process.
// Wanted: at most 1.3 times the bare server, at most 0.12 CPU seconds a gigabit, one serialisation a sample.
import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sample } from "../../media-node/core/sample.ts";
import { SampleEncoder } from "../../media-node/ovt/sample-encoder.ts";
import { avDescription, FedSource, openTestNode, portOf, videoSample } from "../support/ovt-kit.ts";

const edges = Number(process.argv[2] ?? 50);
const seconds = Number(process.argv[3] ?? 4);
const opusTrack = {
  id: 2,
  kind: "audio",
  codec: "opus",
  name: "Opus",
  timescale: 48_000,
  bitrate: 128_000,
  audio: { sampleRate: 48_000, channels: 2 },
} as const;
const description = { ...avDescription, tracks: [...avDescription.tracks, opusTrack] };

interface Due {
  readonly atMs: number;
  readonly sample: Sample;
}

/** One key frame of 40 kB and 59 deltas of 9.9 kB every two seconds, AAC and Opus of 128 kbit/s each. */
function schedule(): Due[] {
  const due: Due[] = [];
  for (let i = 0; i < seconds * 30; i++) {
    const isKeyframe = i % 60 === 0;
    const data = isKeyframe ? videoSample(0, 40_000).data : videoSample(1, 9_900).data;
    const pts = i * 3000;
    due.push({ atMs: i * (1000 / 30), sample: { trackId: 0, pts, dts: pts, duration: 3000, isKeyframe, data } });
  }
  const audio = (trackId: number, ticks: number, bytes: number): void => {
    for (let i = 0; (i * ticks) / 48 < seconds * 1000; i++) {
      const data = new Uint8Array(bytes).fill(0x55);
      const pts = i * ticks;
      due.push({ atMs: pts / 48, sample: { trackId, pts, dts: pts, duration: ticks, isKeyframe: true, data } });
    }
  };
  audio(1, 1024, 341);
  audio(2, 960, 320);
  return due.sort((a, b) => a.atMs - b.atMs);
}

/** Calls `take` with what became due, at real speed. */
async function play(take: (samples: readonly Sample[]) => void): Promise<void> {
  const due = schedule();
  const startMs = performance.now();
  for (let next = 0; next < due.length;) {
    const elapsedMs = performance.now() - startMs;
    let to = next;
    while (to < due.length && due[to]!.atMs <= elapsedMs) to++;
    if (to > next) take(due.slice(next, to).map(({ sample }) => sample));
    next = to;
    if (next < due.length) await sleep(Math.max(1, due[next]!.atMs - (performance.now() - startMs)));
  }
}

interface Cost {
  readonly cpuSeconds: number;
  readonly bytes: number;
}

async function measure(server: Server, run: () => Promise<void>, ready: () => boolean): Promise<Cost> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const sink = fork(new URL("ovt-sink.ts", import.meta.url), [String(portOf(server)), String(edges)]);
  while (!ready()) await sleep(10);
  const before = process.cpuUsage();
  await run();
  await sleep(200);
  const { user, system } = process.cpuUsage(before);
  const { bytes, perSocket } = await report(sink);
  assert.equal(perSocket.length, edges);
  assert.equal(new Set(perSocket).size, 1, "every edge got the same bytes");
  sink.send("end");
  sink.disconnect();
  server.close();
  await once(sink, "exit");
  return { cpuSeconds: (user + system) / 1e6, bytes };
}

async function report(sink: ChildProcess): Promise<{ bytes: number; perSocket: number[] }> {
  sink.send("report");
  const [message]: { bytes: number; perSocket: number[] }[] = await once(sink, "message");
  return message!;
}

async function measureOvt(): Promise<Cost> {
  const fed = new FedSource(description);
  const origin = openTestNode("origin", { fed: { cam: fed }, publisher: { maxIdlePerAddress: edges } });
  const held = await origin.hub.acquire({ vhost: "default", app: "app", stream: "cam" }, { protocol: "llhls" });
  assert.ok(held.kind === "stream");
  const server = createServer({ noDelay: true }, (socket) => origin.publisher.accept(socket, "127.0.0.1"));
  const cost = await measure(
    server,
    () => play((samples) => fed.push(...samples)),
    () => origin.publisher.stats.sessionsLive === edges,
  );
  assert.equal(origin.publisher.stats.samplesDropped, 0);
  assert.equal(origin.publisher.encodedCount, schedule().length, "each sample was serialised once");
  await origin.close();
  return cost;
}

async function measureBare(): Promise<Cost> {
  const encoder = new SampleEncoder();
  encoder.describe(description.tracks);
  const sockets = new Set<Socket>();
  let asked = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("data", () => asked++);
    socket.on("error", () => {});
  });
  // The same patience as the origin, so that both write as often.
  let waiting: Uint8Array[] = [];
  let timer: NodeJS.Timeout | undefined;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const bytes = Buffer.concat(waiting);
    waiting = [];
    for (const socket of sockets) socket.write(bytes);
  };
  const take = (samples: readonly Sample[]): void => {
    for (const sample of samples) waiting.push(encoder.encode(sample)!.bytes);
    const hasVideo = samples.some(({ trackId }) => trackId === 0);
    if (hasVideo) clearTimeout(timer);
    if (hasVideo || !timer) timer = setTimeout(flush, hasVideo ? 0 : Math.min(20, 5 + edges / 2));
  };
  return measure(
    server,
    () => play(take),
    () => asked === edges,
  );
}

const perGigabit = ({ cpuSeconds, bytes }: Cost): number => cpuSeconds / ((bytes * 8) / 1e9);
const rounds = [];
for (let round = 0; round < 3; round++) rounds.push({ bare: await measureBare(), ovt: await measureOvt() });
for (const { bare, ovt } of rounds) assert.ok(Math.abs(ovt.bytes - bare.bytes) < bare.bytes / 50, "the same bytes");
const bare = Math.min(...rounds.map((round) => perGigabit(round.bare)));
const ovt = Math.min(...rounds.map((round) => perGigabit(round.ovt)));
console.log(
  `ovt-fan-out: ${edges} edges: origin ${ovt.toFixed(3)} CPU s/Gbit, bare server ${bare.toFixed(3)}, ratio ${(ovt / bare).toFixed(2)}`,
);
