// Viewers and streams come and go for two hours, a day's worth of them: does the edge give everything back? The edge's resident
// memory may grow by 1 MB an hour after the first tenth, and what it holds open returns to what it was.
import assert from "node:assert/strict";
import { startLaptopCluster } from "../../infra/laptop/cluster.ts";
import { HlsViewer } from "../support/hls-viewer.ts";
import { readMetrics } from "../support/metrics.ts";
import { until } from "../support/until.ts";
import { WhepViewer } from "../support/whep-viewer.ts";

const seconds = Number(process.argv[2] ?? 7_200);
/** Joins at once, every one or two seconds: a real edge has as many in twelve times as long. */
const joins = Number(process.argv[3] ?? 6);
/** A slope cannot be told from the noise of the garbage collector in less. */
const leastForSlope = 1_800;
const maxSlopeMbPerHour = 1;
const maxGrowthMb = 64;

const cluster = await startLaptopCluster({ routerPort: 0, edges: 1, nodeEnv: { HEARTH_UNUSED_MS: "1000" } });
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

try {
  await round(0);
  const before = openOf(await until("the edge is idle", 60_000, () => idle()));
  const startMs = performance.now();
  const samples: { hours: number; megabytes: number }[] = [];
  let sessions = 0;
  for (let index = 0; performance.now() - startMs < seconds * 1_000; index++) {
    sessions += await round(index);
    const megabytes = (await read()).get("hearth_memory_bytes")! / 1e6;
    samples.push({ hours: (performance.now() - startMs) / 3_600_000, megabytes });
  }
  const after = await until("the edge has given everything back", 60_000, () => idle(before));
  const settled = samples.slice(Math.floor(samples.length / 10));
  const slope = slopeOf(settled);
  const growth = settled.at(-1)!.megabytes - settled[0]!.megabytes;
  const slopeText = seconds < leastForSlope ? "too short for a slope" : `slope ${slope.toFixed(2)} MB/h`;
  console.log(
    `churn: ${sessions} sessions in ${seconds} s, RSS ${Math.round(settled[0]!.megabytes)} to ${Math.round(
      settled.at(-1)!.megabytes,
    )} MB, ${slopeText}, open resources ${before} before and ${openOf(after)} after`,
  );
  console.log(`  open now: ${kindsOf(after)}`);
  assert.ok(growth <= maxGrowthMb, `memory grew by ${Math.round(growth)} MB`);
  if (seconds >= leastForSlope) assert.ok(slope <= maxSlopeMbPerHour, `memory grows by ${slope.toFixed(1)} MB an hour`);
} finally {
  await cluster.close();
}

/** Least squares, megabytes an hour. */
function slopeOf(points: readonly { hours: number; megabytes: number }[]): number {
  const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const x = mean(points.map(({ hours }) => hours));
  const y = mean(points.map(({ megabytes }) => megabytes));
  const above = points.reduce((sum, point) => sum + (point.hours - x) * (point.megabytes - y), 0);
  const below = points.reduce((sum, point) => sum + (point.hours - x) ** 2, 0);
  return below === 0 ? 0 : above / below;
}
