// Does one edge that stops reading delay the others? 99th percentile of the delay at 49 edges of one stream while the
// fiftieth takes nothing, beside the same while it reads. Wanted: at most 20 ms more.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { OvtReader } from "../../media-node/ovt/ovt-reader.ts";
import { parseOvtMedia } from "../../media-node/ovt/ovt-media.ts";
import { clockedDescription, clockedSample, nowMicros, percentileMs } from "../support/ovt-clocked.ts";
import { FedSource, openTestNode, portOf } from "../support/ovt-kit.ts";
import { requestBytes } from "../support/scripted-edge.ts";

const edges = 50;
const seconds = 4;

async function beEdges(port: number, isOneStuck: boolean): Promise<void> {
  const delays: number[] = [];
  const sockets = Array.from({ length: edges }, (_, i) => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(requestBytes({ application: "play", id: 1, target: "ovt://o:1/app/cam" }));
    const limits = { role: "edge", maxMessageBytes: 1 << 20, maxMediaBytes: 1 << 24 } as const;
    let isFirst = true;
    const onMedia = (body: Uint8Array): void => {
      // Every edge begins with the frame that was there before it.
      if (!isFirst) delays.push(nowMicros() - parseOvtMedia(body).pts);
      isFirst = false;
    };
    const reader = new OvtReader(limits, { onMessage() {}, onMedia });
    if (i > 0 || !isOneStuck) socket.on("data", (chunk) => reader.push(chunk));
    return socket;
  });
  await once(process, "message");
  process.send!({ p99: percentileMs(delays, 0.99), count: delays.length });
  for (const socket of sockets) socket.destroy();
  process.disconnect();
}

async function measure(isOneStuck: boolean): Promise<number> {
  const fed = new FedSource(clockedDescription);
  const origin = openTestNode("origin", { fed: { cam: fed }, publisher: { maxQueueBytes: 512 * 1024 } });
  const held = await origin.hub.acquire({ vhost: "default", app: "app", stream: "cam" }, { protocol: "llhls" });
  assert.equal(held.kind, "stream");
  fed.push(clockedSample(true, 200));
  const server = createServer({ noDelay: true }, (socket) => origin.publisher.accept(socket, "127.0.0.1"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const sink = fork(import.meta.filename, [String(portOf(server)), isOneStuck ? "stuck" : "all read"]);
  while (origin.publisher.stats.sessionsLive < edges) await sleep(10);
  const startMs = performance.now();
  let sent = 0;
  while (performance.now() - startMs < seconds * 1000) {
    fed.push(clockedSample(sent % 30 === 0, sent % 30 === 0 ? 200_000 : 40_000));
    sent++;
    await sleep(Math.max(1, startMs + sent * (1000 / 30) - performance.now()));
  }
  await sleep(200);
  assert.equal(origin.publisher.stats.samplesDropped > 0, isOneStuck, "only a stuck edge loses samples");
  sink.send("report");
  const [report]: { p99: number; count: number }[] = await once(sink, "message");
  const { p99, count } = report!;
  await once(sink, "exit");
  assert.equal(count, sent * (isOneStuck ? edges - 1 : edges), "the others got everything");
  server.close();
  await origin.close();
  return p99;
}

const [port, mode] = process.argv.slice(2);
if (port === undefined) {
  const free = await measure(false);
  const held = await measure(true);
  console.log(
    `ovt-slow-edge: p99 ${free.toFixed(1)} ms when all read, ${held.toFixed(1)} ms beside a stuck edge: ${(held - free).toFixed(1)} ms more, ${((held - free) / 20).toFixed(2)} of what is allowed`,
  );
} else await beEdges(Number(port), mode === "stuck");
