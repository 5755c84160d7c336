// A thousand WebRTC viewers vanish in one moment, their machines frozen: no goodbye, no reset, sockets that look open. Their
// sessions are over within 35 s, and 60 s after they froze the edge holds what it held before they came, within 2 % of what is
// still referred to, and within 5 % of what is resident. Arguments: viewers, joins a second.
//
// As many have come and vanished in the same way before the first look: what an edge keeps of one audience for the next (compiled
// code, buffers, pages that lie between others) is its own, and only what the second one adds is left by those who vanished.
import assert from "node:assert/strict";
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { startEdgeUnderLoad } from "../support/edge-under-load.ts";
import { MemoryProbe } from "../support/memory-left.ts";
import type { MemoryLeft } from "../support/memory-probe.ts";
import { until } from "../support/until.ts";

const [viewers = 1_000, joinsPerSecond = 40] = process.argv.slice(2).map(Number);
const goneWithinMs = 35_000;
const backWithinMs = 60_000;
/** Of what is still referred to. */
const tolerance = 0.02;
/** Of resident pages: where the allocator puts things is not ours, and a free page between used ones stays. */
const residentTolerance = 0.05;
/** A busy machine, or an edge that sends a crowd away for two seconds, is no reason to give up. */
const triesToJoin = 5;

using probe = new MemoryProbe();
await using edge = await startEdgeUnderLoad({ env: probe.env, kbps: 100 });
const url = `${edge.url.replace("http", "ws")}/app/stream`;
const crowds: ChildProcess[] = [];

/** A process full of viewers who watch. */
async function gather(): Promise<ChildProcess> {
  const crowd = fork(join(import.meta.dirname, "../support/crowd-process.ts"), [
    url,
    `${viewers}`,
    `${joinsPerSecond}`,
    `${triesToJoin}`,
  ]);
  crowds.push(crowd);
  const [waits] = (await once(crowd, "message")) as [readonly number[]];
  const without = waits.filter((ms) => ms < 0).length;
  assert.ok(without <= viewers / 100, `${without} of ${viewers} got no picture in time`);
  return crowd;
}

async function metric(name: string): Promise<number> {
  return Number(new RegExp(`^${name} (\\S+)$`, "m").exec(await edge.metrics())![1]);
}

/** Sockets that are open, and timers that run. */
async function open(): Promise<number> {
  const kinds = (await edge.metrics()).matchAll(/^hearth_open_resources\{kind="(?:TCPSocketWrap|Timer)"\} (\d+)$/gm);
  return [...kinds].reduce((sum, [, count]) => sum + Number(count), 0);
}

const gone = async (): Promise<boolean> => (await metric("hearth_webrtc_sessions")) === 0;
const referredTo = ({ heapBytes, codeBytes, nativeBytes }: MemoryLeft): number => heapBytes - codeBytes + nativeBytes;
const mb = (bytes: number): string => (bytes / 1e6).toFixed(1);
const isBack = (now: MemoryLeft, base: MemoryLeft): boolean =>
  referredTo(now) <= referredTo(base) * (1 + tolerance) && now.rssBytes <= base.rssBytes * (1 + residentTolerance);

/** All of `crowd` freeze. @returns how long their sessions lasted from then on, and when that was */
async function vanish(crowd: ChildProcess): Promise<{ readonly frozenMs: number; readonly goneMs: number }> {
  const watching = await metric("hearth_webrtc_sessions");
  assert.ok(watching >= viewers * 0.99, `${watching} watch`);
  crowd.kill("SIGSTOP");
  const frozenMs = performance.now();
  await until("all sessions are over", 3 * goneWithinMs, gone);
  return { frozenMs, goneMs: performance.now() - frozenMs };
}

try {
  const first = await gather();
  const warmUp = await vanish(first);
  first.kill("SIGKILL");
  // The stream's own connection and timers are there until nobody has watched for a while.
  await until("its sockets are closed", backWithinMs, async () => (await open()) < 30);
  const base = await probe.read(edge.pid);

  const crowd = await gather();
  const full = await probe.read(edge.pid);
  const { frozenMs, goneMs } = await vanish(crowd);
  let after = await probe.read(edge.pid);
  while (!isBack(after, base) && performance.now() - frozenMs < backWithinMs) after = await probe.read(edge.pid);
  const backMs = performance.now() - frozenMs;
  console.log(`vanished-viewers: ${viewers} gone ${(warmUp.goneMs / 1_000).toFixed(1)} and ${(goneMs / 1_000).toFixed(1)} s after they froze, memory as before after ${(backMs / 1_000).toFixed(1)} s
  still referred to ${mb(referredTo(base))} MB before, ${mb(referredTo(full))} with them, ${mb(referredTo(after))} after; resident ${mb(base.rssBytes)}, ${mb(full.rssBytes)}, ${mb(after.rssBytes)} MB`);
  assert.ok(Math.max(goneMs, warmUp.goneMs) <= goneWithinMs, "sessions of vanished viewers last too long");
  assert.ok(isBack(after, base), "memory is not back");
  assert.ok((await open()) < 30, "sockets or timers are left");
} finally {
  for (const crowd of crowds) crowd.kill("SIGKILL");
}
