// How late are pictures when a thousand watch one stream of 2.5 Mbit/s, served by one thread and by two? One viewer in twenty is
// read and compared with what the origin published; what the others do not read the kernel throws away. All report and
// consent. Wanted (p99): at most 40 ms with one thread, 25 ms with two; half as much again fails, since those who measure
// share the cores.
import assert from "node:assert/strict";
import { loadavg } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { startEdgeUnderLoad } from "../support/edge-under-load.ts";
import { percentile, WebRtcAudience } from "../support/webrtc-audience.ts";

const viewers = Number(process.argv[2] ?? 1000);
const seconds = Number(process.argv[3] ?? 8);
const reading = Math.ceil(viewers / 20);

async function measure(threads: number): Promise<number> {
  await using edge = await startEdgeUnderLoad({
    nodeArgs: ["--max-semi-space-size=2"],
    publishers: `<StreamWorkerCount>${threads - 1}</StreamWorkerCount>`,
  });
  using audience = new WebRtcAudience(edge);
  const groups = 10;
  // Readers come with the others, so that every thread has some.
  for (let group = 0; group < groups; group++) {
    await audience.gather(Math.round((viewers - reading) / groups), 100, true);
    await audience.gather(Math.max(1, Math.round(reading / groups)), 100);
  }
  await sleep(1500);
  assert.equal(audience.ports, threads, `${audience.ports} threads serve`);
  const before = edge.cost.cpuSeconds;
  const lateness = await audience.lateness(() => sleep(seconds * 1000));
  const cpu = (edge.cost.cpuSeconds - before) / seconds;
  assert.equal(
    audience.all.reduce((sum, { forged }) => sum + forged, 0),
    0,
  );
  assert.ok(lateness.length > reading * seconds * 20, `${lateness.length} pictures`);
  const [p50, p99] = [percentile(lateness, 0.5), percentile(lateness, 0.99)];
  console.log(
    `  ${threads} thread${threads > 1 ? "s" : ""}: p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)} ms late, ${(cpu * 100).toFixed(0)} % of a core`,
  );
  return p99;
}

console.log(`webrtc-thousand: ${viewers} viewers, load ${loadavg()[0]!.toFixed(1)}`);
const one = await measure(1);
const two = await measure(2);
console.log(`  two threads are ${(one / two).toFixed(1)} times as punctual`);
assert.ok(one <= 60 && two <= 37.5, "pictures come too late");
