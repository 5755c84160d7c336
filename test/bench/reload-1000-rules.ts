// What does a reload of 1,000 rules cost those who watch? CPU time of a reload while a stream is read, beside that of reading
// the file alone, and the longest time that no frame came. Wanted: no frame lost.
import { readServerXml } from "../../media-node/config-commands.ts";
import { FrameCount, serverXml, startReloadNode } from "../support/reload-node.ts";
import { until } from "../support/until.ts";

const rules = 1_000;
const reloads = 30;

await using running = await startReloadNode(serverXml(rules, 0));
const { node, write, path } = running;
const held = await node.hub.acquire({ vhost: "default", app: "app", stream: "watched" }, { protocol: "llhls" });
if (held.kind !== "stream") throw new Error(held.reason);
const frames = new FrameCount();
let lastMs = performance.now();
let longestGapMs = 0;
held.hold.stream.addReader({
  onSample(sample) {
    const nowMs = performance.now();
    if (frames.frames > 0) longestGapMs = Math.max(longestGapMs, nowMs - lastMs);
    lastMs = nowMs;
    frames.onSample(sample);
  },
  onEnd: () => frames.onEnd(),
});

async function cpuMs(work: () => unknown): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

const [reload, read]: number[][] = [[], []];
for (let variant = 1; variant <= reloads; variant++) {
  write(serverXml(rules, variant));
  read!.push(await cpuMs(() => readServerXml(path)));
  reload!.push(await cpuMs(() => node.reload("bench")));
  const seen = frames.frames;
  await until("frames", 10_000, () => frames.frames > seen + 3);
}
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!;
const [reloadMs, readMs] = [median(reload!), median(read!)];
const figures = {
  rules,
  reloads,
  reloadMs: Math.round(reloadMs),
  readMs: Math.round(readMs),
  frames: frames.frames,
  lost: frames.breaks.length,
  longestGapMs: Math.round(longestGapMs),
};
console.log(`reload-1000-rules: ${(reloadMs / readMs).toFixed(2)} × the time of reading the file`, figures);
process.exitCode = frames.breaks.length === 0 ? 0 : 1;
