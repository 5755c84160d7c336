// How much later is a sample at the edge than at the origin? 99th percentile over 200 streams of 30 frames a second, each
// pulled by one edge that is another process, over TCP on this machine. Wanted: at most 10 ms.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { clockedDescription, clockedSample, nowMicros, percentileMs } from "../support/ovt-clocked.ts";
import { FedSource, openTestNode, portOf } from "../support/ovt-kit.ts";

const streams = 200;
const seconds = 5;
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

async function beOrigin(): Promise<void> {
  const fed = Object.fromEntries(names.map((name) => [name, new FedSource(clockedDescription)]));
  const origin = openTestNode("origin", { fed });
  const server = createServer({ noDelay: true }, (socket) => origin.publisher.accept(socket, "127.0.0.1"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const edge = fork(import.meta.filename, [String(portOf(server))]);
  await once(edge, "message");
  const sources = Object.values(fed);
  let sent = 0;
  // Streams are not in step: each has its own moment within a frame's time.
  const startMs = performance.now();
  while (performance.now() - startMs < seconds * 1000) {
    const dueTotal = ((performance.now() - startMs) / 1000) * 30 * streams;
    for (; sent < dueTotal; sent++) sources[sent % streams]!.push(clockedSample(sent < streams, 4_000));
    await sleep(1);
  }
  await sleep(100);
  edge.send("report");
  const [report]: { p50: number; p99: number; count: number }[] = await once(edge, "message");
  const { p50, p99, count } = report!;
  await once(edge, "exit");
  assert.equal(count, sent, "every sample arrived");
  console.log(
    `ovt-latency: ${streams} streams, ${count} samples: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ${(p99 / 10).toFixed(2)} of what is allowed`,
  );
  server.close();
  await origin.close();
}

const [port] = process.argv.slice(2);
if (port === undefined) await beOrigin();
else await beEdge(Number(port));
