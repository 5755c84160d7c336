// How much later is a sample at the edge than at the origin? 99th percentile over 200 streams of 30 frames a second, each
// pulled by one edge that is another process, over TCP on this machine; beside 200 bare TCP connections that carry as much.
// Wanted: at most 10 ms.
import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { clockedDescription, clockedSample, nowMicros, percentileMs } from "../support/ovt-clocked.ts";
import { FedSource, openTestNode, portOf } from "../support/ovt-kit.ts";

const streams = 200;
const seconds = 5;
const frameBytes = 4_000;
const names = Array.from({ length: streams }, (_, i) => `cam${i}`);

async function beEdge(port: number): Promise<void> {
  const dial = async (): Promise<Duplex> => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    await once(socket, "connect");
    return socket;
  };
  const rules = Object.fromEntries(names.map((name) => [`app/${name}`, [`ovt://127.0.0.1:${port}/app/${name}`]]));
  const edge = openTestNode("edge", { dial, rules });
  const delays: number[] = [];
  for (const stream of names) {
    const result = await edge.hub.acquire({ vhost: "default", app: "app", stream }, { protocol: "whep" });
    assert.ok(result.kind === "stream");
    result.hold.stream.addReader({ onSample: ({ pts }) => delays.push(nowMicros() - pts), onEnd() {} });
  }
  process.send!("ready");
  await once(process, "message");
  process.send!({ p50: percentileMs(delays, 0.5), p99: percentileMs(delays, 0.99), count: delays.length });
  await edge.close();
  process.disconnect();
}

/** The same without OVT: takes frames of `frameBytes` that begin with the time at which they were written. */
async function beBareEdge(port: number): Promise<void> {
  const delays: number[] = [];
  const sockets = names.map(() => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let rest: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      for (; rest.length >= frameBytes; rest = rest.subarray(frameBytes))
        delays.push(nowMicros() - rest.readDoubleBE(0));
    });
    return socket;
  });
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  process.send!("ready");
  await once(process, "message");
  process.send!({ p50: percentileMs(delays, 0.5), p99: percentileMs(delays, 0.99), count: delays.length });
  for (const socket of sockets) socket.destroy();
  process.disconnect();
}

interface Delays {
  readonly p50: number;
  readonly p99: number;
  readonly count: number;
}

/** Sends a frame to each stream in turn, at its moment within a frame's time, and asks the other process how late they came. */
async function feed(edge: ChildProcess, send: (index: number, isFirst: boolean) => void): Promise<Delays> {
  await once(edge, "message");
  let sent = 0;
  const startMs = performance.now();
  while (performance.now() - startMs < seconds * 1000) {
    const dueTotal = ((performance.now() - startMs) / 1000) * 30 * streams;
    for (; sent < dueTotal; sent++) send(sent % streams, sent < streams);
    await sleep(1);
  }
  await sleep(100);
  edge.send("report");
  const [report]: Delays[] = await once(edge, "message");
  await once(edge, "exit");
  assert.equal(report!.count, sent, "every sample arrived");
  return report!;
}

async function measureBare(): Promise<Delays> {
  const sockets: Socket[] = [];
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => {});
    sockets.push(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const delays = await feed(fork(import.meta.filename, [String(portOf(server)), "bare"]), (index) => {
    const frame = Buffer.alloc(frameBytes, 0x55);
    frame.writeDoubleBE(nowMicros(), 0);
    sockets[index]!.write(frame);
  });
  server.close();
  return delays;
}

async function measureOvt(): Promise<Delays> {
  const fed = Object.fromEntries(names.map((name) => [name, new FedSource(clockedDescription)]));
  const origin = openTestNode("origin", { fed });
  const server = createServer({ noDelay: true }, (socket) => origin.publisher.accept(socket, "127.0.0.1"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const sources = Object.values(fed);
  const delays = await feed(fork(import.meta.filename, [String(portOf(server)), "ovt"]), (index, isFirst) => {
    sources[index]!.push(clockedSample(isFirst, frameBytes));
  });
  server.close();
  await origin.close();
  return delays;
}

const [port, mode] = process.argv.slice(2);
if (port === undefined) {
  const bare = await measureBare();
  const { p50, p99, count } = await measureOvt();
  console.log(
    `ovt-latency: ${streams} streams, ${count} samples: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ` +
      `${(p99 / 10).toFixed(2)} of what is allowed; bare connections p50 ${bare.p50.toFixed(1)} ms, p99 ${bare.p99.toFixed(1)} ms, ` +
      `ratio ${(p99 / bare.p99).toFixed(2)}`,
  );
} else if (mode === "bare") await beBareEdge(Number(port));
else await beEdge(Number(port));
