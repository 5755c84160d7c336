// What do 5,000 viewers cost who all wait for the same part? Memory of each, how long until all have their answer, and by
// how much any other timer of the process is late meanwhile. Wanted: 20 kB each, one part, 20 ms.
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { connect } from "node:net";
import { loadavg } from "node:os";
import { FakeSource } from "../support/fake-source.ts";
import { startLlHlsNode } from "../support/llhls-node.ts";
import { audioTrack, describe, syntheticSamples, videoTrack } from "../support/synthetic-media.ts";
import { until } from "../support/until.ts";

const viewers = 5_000;
const partMs = 200;

/** In a process of its own: opens all connections, asks, and reports when the last byte of each answer came. */
async function runViewers(port: number, path: string): Promise<void> {
  const arrivedMs: number[] = [];
  let statuses = 0;
  for (let opened = 0; opened < viewers; opened++) {
    const socket = connect(port, "127.0.0.1");
    socket.write(`GET ${path} HTTP/1.1\r\nHost: bench\r\nAccept-Encoding: gzip\r\n\r\n`);
    socket.once("data", (bytes: Buffer) => {
      if (bytes.toString("latin1", 0, 12) === "HTTP/1.1 200") statuses++;
      arrivedMs.push(Date.now());
      if (arrivedMs.length === viewers) process.send!({ arrivedMs, statuses });
    });
    if (opened % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function measure(): Promise<void> {
  const source = new FakeSource(describe([videoTrack, audioTrack]));
  const holdLimits = { total: viewers, perAddress: viewers, perSession: viewers };
  const node = await startLlHlsNode({ open: async () => source, config: { partMs, holdLimits } });
  const samples = syntheticSamples({ durationMs: 20_000 });
  const timeMs = ({ trackId, dts }: { trackId: number; dts: number }): number => dts / (trackId === 0 ? 90 : 48);
  let fed = 0;
  const feed = (untilMs: number): void => {
    while (timeMs(samples[fed]!) <= untilMs) source.sink!.onSample(samples[fed++]!);
  };
  const answer = fetch(`${node.baseUrl}/app/stream/llhls.m3u8`);
  await until("the source to be started", 5_000, () => source.sink !== undefined);
  feed(8_100);
  const [uri] = /^chunklist_0_video_\w+\.m3u8/m.exec(await (await answer).text())!;
  const path = `/app/stream/${uri}?_HLS_msn=4&_HLS_part=0`;

  const before = process.memoryUsage().rss;

  const child = fork(import.meta.filename, [new URL(node.baseUrl).port, path]);
  process.once("exit", () => child.kill());
  await until("everybody to wait", 60_000, () => node.guest.stats.heldRequests === viewers);

  const heldBytes = (process.memoryUsage().rss - before) / viewers;

  let lastMs = performance.now();
  let lateMs = 0;
  const timer = setInterval(() => {
    lateMs = Math.max(lateMs, performance.now() - lastMs - 5);
    lastMs = performance.now();
  }, 5);
  const report = new Promise<{ arrivedMs: number[]; statuses: number }>((resolve) => {
    child.once("message", (message) => resolve(message as { arrivedMs: number[]; statuses: number }));
  });
  const cpuBefore = process.cpuUsage();
  const startMs = Date.now();
  feed(8_300);
  const { arrivedMs, statuses } = await report;
  const { user, system } = process.cpuUsage(cpuBefore);
  clearInterval(timer);
  child.kill();
  await node.close();
  assert.equal(statuses, viewers);
  const waits = arrivedMs.map((ms) => ms - startMs).sort((a, b) => a - b);
  const p99Ms = waits[Math.floor(viewers * 0.99)]!;
  console.log(
    `llhls-held-requests: ${(heldBytes / 1000).toFixed(1)} kB each (wanted: 20), p99 ${p99Ms} ms ` +
      `(wanted: ${partMs}), other timers late by ${lateMs.toFixed(0)} ms (wanted: 20), ` +
      `${((user + system) / viewers).toFixed(0)} µs of CPU per answer, load average ${loadavg()[0]!.toFixed(1)}`,
  );
  assert.ok(heldBytes <= 20_000, "a held request takes too much memory");
  // The viewers' process reads 5,000 answers on the other core meanwhile; where that one is busy, all of it is late.
  assert.ok(p99Ms <= 1.5 * partMs, "the last answers came too late");
  assert.ok(lateMs <= 1.5 * 20, "releasing holds the loop up");
}

const [port, path] = process.argv.slice(2);
if (port !== undefined && path !== undefined) await runViewers(Number(port), path);
else await measure();
