// Viewers and streams come and go for two hours, a day's worth of them: does the edge give everything back? Now and then it is
// left alone until nobody is there, and asked what it holds once its garbage is collected. After the first sixth, in which
// its code is compiled, that may grow by 1 MB an hour: what is still referred to, in JavaScript and in native memory, and
// what is resident. What it holds open returns to what it was.
import assert from "node:assert/strict";
import { startLaptopCluster } from "../../infra/laptop/cluster.ts";
import { HlsViewer } from "../support/hls-viewer.ts";
import { MemoryProbe } from "../support/memory-left.ts";
import type { MemoryLeft } from "../support/memory-probe.ts";
import { readMetrics } from "../support/metrics.ts";
import { slopeOf, type Point } from "../support/slope.ts";
import { until } from "../support/until.ts";
import { WhepViewer } from "../support/whep-viewer.ts";

const seconds = Number(process.argv[2] ?? 7_200);
/** Joins at once, every one or two seconds: a real edge has as many in twelve times as long. */
const joins = Number(process.argv[3] ?? 6);
/** How often it is left alone: each time takes ten seconds, until players are known to be gone. */
const pauses = seconds < 300 ? 1 : 24;
const warmUpShare = 1 / 6;
/** A slope cannot be told from noise in less. */
const leastForSlope = 1_800;
const maxSlopeMbPerHour = 1;
const maxGrowthMb = 32;

using probe = new MemoryProbe();
const nodeEnv = { HEARTH_UNUSED_MS: "1000", ...probe.env };
const cluster = await startLaptopCluster({ routerPort: 0, edges: 1, nodeEnv });
const { operatorPort } = cluster.ready.get("edge-1")!;
const streamUrl = `${cluster.url}/app/stream`;
const apiUrl = `http://127.0.0.1:${operatorPort}/v1/vhosts/default/apps/app/streams/stream`;
const read = () => readMetrics(operatorPort!);
/** Its metrics once nobody and nothing is left, and no more is open than `most`: connections are kept for some seconds. */
const idle = async (most = Number.POSITIVE_INFINITY): Promise<Map<string, number> | undefined> => {
  const metrics = await read();
  const viewers = [...metrics].reduce(
    (sum, [name, value]) => sum + (name.startsWith("hearth_viewers{") ? value : 0),
    0,
  );
  const isIdle = viewers === 0 && metrics.get("hearth_webrtc_sessions") === 0 && metrics.get("hearth_streams") === 0;
  return isIdle && openOf(metrics) <= most ? metrics : undefined;
};
const openOf = (metrics: Map<string, number>): number =>
  [...metrics].reduce((sum, [name, value]) => sum + (name.startsWith("hearth_open_resources") ? value : 0), 0);

/** `TCPSocketWrap 2, Timer 14`: what is open, by kind. */
const kindsOf = (metrics: Map<string, number>): string =>
  [...metrics]
    .flatMap(([name, count]) => {
      const kind = /^hearth_open_resources\{kind="(\w+)"/.exec(name)?.[1];
      return kind === undefined ? [] : `${kind} ${count}`;
    })
    .join(", ");

async function round(index: number): Promise<number> {
  const viewers = Array.from({ length: joins }, (_, at) =>
    at % 2 === 0 ? new WhepViewer(`${streamUrl}/whep`) : new HlsViewer(`${streamUrl}/llhls.m3u8`),
  );
  await until("everybody watches", 20_000, () => viewers.every(({ node }) => node !== undefined));
  // The pull is lost and found again under its viewers' feet.
  if (index % 10 === 9) await fetch(apiUrl, { method: "DELETE" });
  await Promise.all(viewers.map((viewer) => viewer.close()));
  return viewers.length;
}

/** What is left when everybody is gone. */
async function pause(): Promise<MemoryLeft> {
  await until("the edge is idle", 60_000, () => idle());
  return probe.read(cluster.nodes.get("edge-1")!.pid!);
}

const asText = ({ heapBytes, codeBytes, nativeBytes, rssBytes, threads }: MemoryLeft): string =>
  `heap ${mb(heapBytes)} (code ${mb(codeBytes)}), native ${mb(nativeBytes)}, RSS ${mb(rssBytes)} MB, ${threads} threads`;
const mb = (bytes: number): string => (bytes / 1e6).toFixed(2);

/** What is measured, in bytes. */
const measures: Readonly<Record<string, (left: MemoryLeft) => number>> = {
  // Code is compiled better the longer it runs, and forgotten when nobody needs it; what is resident counts it, too.
  "still referred to, code apart": ({ heapBytes, codeBytes, nativeBytes }) => heapBytes - codeBytes + nativeBytes,
  resident: ({ rssBytes }) => rssBytes,
};

try {
  await round(0);
  const before = openOf(await until("the edge is idle", 60_000, () => idle()));
  const first = await pause();
  const startMs = performance.now();
  const samples: { readonly hours: number; readonly left: MemoryLeft }[] = [];
  let sessions = 0;
  let index = 0;
  for (let pauseAt = 1; pauseAt <= pauses; pauseAt++) {
    while (performance.now() - startMs < (seconds * 1_000 * pauseAt) / pauses) sessions += await round(index++);
    const left = await pause();
    const hours = (performance.now() - startMs) / 3_600_000;
    samples.push({ hours, left });
    if (pauses > 1) console.log(`  ${(hours * 60).toFixed(0)} min, ${sessions} sessions: ${asText(left)}`);
  }
  const after = await until("the edge has given everything back", 60_000, () => idle(before));
  const last = samples.at(-1)!.left;
  console.log(
    `churn: ${sessions} sessions in ${seconds} s, open resources ${before} before and ${openOf(after)} after (${kindsOf(after)})`,
  );
  console.log(`  before: ${asText(first)}`);
  console.log(`  after: ${asText(last)}`);
  assert.ok(last.threads >= first.threads, "every thread of the edge answers");
  const settled = samples.filter(({ hours }) => hours * 3_600 > seconds * warmUpShare);
  const begin = (settled[0] ?? samples[0]!).left;
  for (const [what, of] of Object.entries(measures)) {
    const slope = slopeOf(settled.map(({ hours, left }): Point => ({ x: hours, y: of(left) / 1e6 })));
    const growth = (of(last) - of(seconds < leastForSlope ? first : begin)) / 1e6;
    if (seconds >= leastForSlope)
      console.log(`  ${what}: ${slope.toFixed(2)} MB an hour, ${growth.toFixed(1)} MB in all`);
    assert.ok(growth <= maxGrowthMb, `memory ${what} grew by ${growth.toFixed(0)} MB`);
    if (seconds >= leastForSlope)
      assert.ok(slope <= maxSlopeMbPerHour, `memory ${what} grows by ${slope.toFixed(1)} MB an hour`);
  }
} finally {
  await cluster.close();
}
