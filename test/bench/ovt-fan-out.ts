// What does it cost to serve many edges? CPU time per delivered gigabit of an OVT origin with 30 or 50 edges pulling one
// 2.8 Mbit/s stream, beside a bare TCP server in Node that writes the same bytes at the same times, and beside a program in C
// that makes the same writes: what the kernel takes for them, which nobody undercuts. The edges are another process.
// Counted is what edges cost: the same process feeding the same stream to nobody is subtracted from both servers.
// Wanted: at most 1.3 times the bare server, at most 0.12 CPU seconds a gigabit, one serialisation a sample.
import assert from "node:assert/strict";
import { fork, spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { Sample } from "../../media-node/core/sample.ts";
import { SampleEncoder } from "../../media-node/ovt/sample-encoder.ts";
import { avDescription, FedSource, openTestNode, portOf, videoSample } from "../support/ovt-kit.ts";

const edges = Number(process.argv[2] ?? 50);
const seconds = Number(process.argv[3] ?? 4);
/** Played fast before it is measured, so that both servers run compiled code. */
const warmUpSeconds = 20;
const warmUpSpeed = 10;
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
function schedule(ofSeconds: number, fromSeconds: number): Due[] {
  const due: Due[] = [];
  for (let i = fromSeconds * 30; i < (fromSeconds + ofSeconds) * 30; i++) {
    const isKeyframe = i % 60 === 0;
    const data = isKeyframe ? videoSample(0, 40_000).data : videoSample(1, 9_900).data;
    const pts = i * 3000;
    due.push({ atMs: i * (1000 / 30), sample: { trackId: 0, pts, dts: pts, duration: 3000, isKeyframe, data } });
  }
  const audio = (trackId: number, ticks: number, bytes: number): void => {
    const toMs = (fromSeconds + ofSeconds) * 1000;
    for (let i = Math.ceil((fromSeconds * 48_000) / ticks); (i * ticks) / 48 < toMs; i++) {
      const data = new Uint8Array(bytes).fill(0x55);
      const pts = i * ticks;
      due.push({ atMs: pts / 48, sample: { trackId, pts, dts: pts, duration: ticks, isKeyframe: true, data } });
    }
  };
  audio(1, 1024, 341);
  audio(2, 960, 320);
  return due.sort((a, b) => a.atMs - b.atMs);
}

const warmUp = schedule(warmUpSeconds, 0);
const measured = schedule(seconds, warmUpSeconds);

/** Calls `take` with what became due, at this many times real speed. */
async function play(due: readonly Due[], speed: number, take: (samples: readonly Sample[]) => void): Promise<void> {
  const startMs = performance.now();
  const elapsed = (): number => due[0]!.atMs + (performance.now() - startMs) * speed;
  for (let next = 0; next < due.length;) {
    const elapsedMs = elapsed();
    let to = next;
    while (to < due.length && due[to]!.atMs <= elapsedMs) to++;
    if (to > next) take(due.slice(next, to).map(({ sample }) => sample));
    next = to;
    if (next < due.length) await sleep(Math.max(1, (due[next]!.atMs - elapsed()) / speed));
  }
}

interface Cost {
  readonly cpuSeconds: number;
  readonly bytes: number;
}

async function measure(
  server: Server,
  take: (samples: readonly Sample[]) => void,
  ready: () => boolean,
  onBegin = (): void => {},
): Promise<Cost> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const sink = openSink(portOf(server));
  while (!ready()) await sleep(10);
  await play(warmUp, warmUpSpeed, take);
  const bytesBefore = await settle(sink);
  onBegin();
  const before = process.cpuUsage();
  await play(measured, 1, take);
  await sleep(100);
  const { user, system } = process.cpuUsage(before);
  await settle(sink);
  const { bytes, perSocket } = await report(sink);
  assert.equal(perSocket.length, edges);
  assert.equal(new Set(perSocket).size, 1, "every edge got the same bytes");
  sink.send("end");
  sink.disconnect();
  server.close();
  await once(sink, "exit");
  return { cpuSeconds: (user + system) / 1e6, bytes: bytes - bytesBefore };
}

/** Waits until nothing more comes; returns how many bytes came. */
async function settle(sink: ChildProcess): Promise<number> {
  for (let before = -1; ;) {
    await sleep(200);
    const { bytes } = await report(sink);
    if (bytes === before) return bytes;
    before = bytes;
  }
}

function openSink(port: number): ChildProcess {
  return fork(new URL("ovt-sink.ts", import.meta.url), [String(port), String(edges)]);
}

async function report(sink: ChildProcess): Promise<{ bytes: number; perSocket: number[] }> {
  sink.send("report");
  const [message]: { bytes: number; perSocket: number[] }[] = await once(sink, "message");
  return message!;
}

/** CPU seconds of taking the stream in while nobody pulls it. */
async function measureIdle(): Promise<number> {
  const fed = new FedSource(description);
  const origin = openTestNode("origin", { fed: { cam: fed } });
  const held = await origin.hub.acquire({ vhost: "default", app: "app", stream: "cam" }, { protocol: "llhls" });
  assert.ok(held.kind === "stream");
  await play(warmUp, warmUpSpeed, (samples) => fed.push(...samples));
  await sleep(200);
  const before = process.cpuUsage();
  await play(measured, 1, (samples) => fed.push(...samples));
  await sleep(100);
  const { user, system } = process.cpuUsage(before);
  await origin.close();
  return (user + system) / 1e6;
}

async function measureOvt(): Promise<Cost> {
  const fed = new FedSource(description);
  const origin = openTestNode("origin", { fed: { cam: fed }, publisher: { maxIdlePerAddress: edges } });
  const held = await origin.hub.acquire({ vhost: "default", app: "app", stream: "cam" }, { protocol: "llhls" });
  assert.ok(held.kind === "stream");
  // Edges are let in when there is something to send them.
  fed.push({ ...warmUp[0]!.sample, pts: -3_000, dts: -3_000, isKeyframe: true });
  const server = createServer({ noDelay: true }, (socket) => origin.publisher.accept(socket, "127.0.0.1"));
  const cost = await measure(
    server,
    (samples) => fed.push(...samples),
    () => origin.publisher.stats.sessionsLive === edges,
  );
  assert.equal(origin.publisher.stats.samplesDropped, 0);
  assert.equal(origin.publisher.encodedCount, 1 + warmUp.length + measured.length, "each sample was serialised once");
  await origin.close();
  return cost;
}

/** What was written to every edge, as [milliseconds, bytes]. */
type Writes = (readonly [number, number])[];

async function measureBare(writes: Writes): Promise<Cost> {
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
    writes.push([performance.now(), bytes.length]);
    for (const socket of sockets) socket.write(bytes);
  };
  const take = (samples: readonly Sample[]): void => {
    for (const sample of samples) waiting.push(encoder.encode(sample)!.bytes);
    const hasVideo = samples.some(({ trackId }) => trackId === 0);
    if (hasVideo) clearTimeout(timer);
    if (hasVideo || !timer) timer = setTimeout(flush, hasVideo ? 0 : Math.min(40, 5 + edges));
  };
  return measure(
    server,
    take,
    () => asked === edges,
    () => void writes.splice(0),
  );
}

/** The program in C; undefined where there is no compiler. */
function compileWriter(folder: string): string | undefined {
  const binary = join(folder, "plain-writer");
  const source = join(import.meta.dirname, "plain-writer.c");
  return spawnSync("cc", ["-O2", "-o", binary, source], { stdio: "inherit" }).status === 0 ? binary : undefined;
}

async function measureKernel(binary: string, writes: Writes): Promise<Cost> {
  const writer = spawn(binary, [String(edges)], { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: writer.stdout })[Symbol.asyncIterator]();
  const sink = openSink(Number((await lines.next()).value));
  const startMs = writes[0]![0];
  writer.stdin.end(writes.map(([atMs, bytes]) => `${Math.round(atMs - startMs)} ${bytes}`).join("\n"));
  const [cpuSeconds = 0, bytes = 0] = String((await lines.next()).value)
    .split(" ")
    .map(Number);
  sink.send("end");
  sink.disconnect();
  await once(sink, "exit");
  return { cpuSeconds, bytes };
}

const perGigabit = ({ cpuSeconds, bytes }: Cost): number => cpuSeconds / ((bytes * 8) / 1e9);
const folder = mkdtempSync(join(tmpdir(), "hearth-bench-"));
const writer = compileWriter(folder);
const best = { ovt: Infinity, bare: Infinity, kernel: Infinity, idle: Infinity };
let perSecond = 0;
for (let round = 0; round < 2; round++) {
  const writes: Writes = [];
  const bare = await measureBare(writes);
  const ovt = await measureOvt();
  best.idle = Math.min(best.idle, perGigabit({ cpuSeconds: await measureIdle(), bytes: bare.bytes }));
  assert.ok(Math.abs(ovt.bytes - bare.bytes) < bare.bytes / 50, "the same bytes");
  perSecond = writes.length / seconds;
  if (writer !== undefined) {
    const kernel = await measureKernel(writer, writes);
    assert.ok(Math.abs(kernel.bytes - bare.bytes) < bare.bytes / 50, "the same bytes");
    best.kernel = Math.min(best.kernel, perGigabit(kernel));
  }
  best.bare = Math.min(best.bare, perGigabit(bare));
  best.ovt = Math.min(best.ovt, perGigabit(ovt));
}
rmSync(folder, { recursive: true });
const beside = writer === undefined ? "no C compiler to compare with" : `the kernel alone ${best.kernel.toFixed(3)}`;
const [ovt, bare] = [best.ovt - best.idle, best.bare - best.idle];
console.log(
  `ovt-fan-out: ${edges} edges, ${perSecond.toFixed(0)} writes a second each: origin ${ovt.toFixed(3)} CPU s/Gbit ` +
    `(wanted: 0.12; ${beside}), bare server ${bare.toFixed(3)}, ratio ${(ovt / bare).toFixed(2)} (wanted: 1.3); ` +
    `feeding nobody takes ${best.idle.toFixed(3)}`,
);
