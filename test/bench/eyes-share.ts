// Which share of a loaded node's CPU do logs, metrics and statistics take? An edge in a process of its own with 200 WebRTC
// viewers of 2.5 Mbit/s, of whom two a second leave and are replaced, scraped every 5 s; by a sampled profile of all of its
// threads: samples with a function of logs, metrics or statistics on their stack, of those in which the edge did anything.
// Wanted: at most 2 %. What a counter adds to the function that counts is not told apart: it is one addition.
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startEdgeUnderLoad } from "../support/edge-under-load.ts";
import { LoadViewer } from "../support/load-viewer.ts";

const viewers = Number(process.argv[2] ?? 200);
const seconds = Number(process.argv[3] ?? 20);
/** Each watches for a hundred seconds on average: as restless an audience as there is. */
const leavesPerSecond = 2;
const joinsPerSecond = 40;
const scrapeEveryMs = 5_000;
const wantedShare = 0.02;
/** What only watches: the logger and what wraps it, metrics and what reads them, statistics. */
const watching =
  /\/(flow\/(logger|event-log|histogram)|private-logger|node-report|core\/statistics-book|api\/(metrics|operator-server)|[\w-]+-metrics)\.ts$|\/prom-client\//;

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
  /** Microseconds of the monotonic clock, which all processes of a machine share. */
  readonly startTime: number;
  /** Microseconds between a sample and the one before it. */
  readonly timeDeltas: readonly number[];
}

const monotonicUs = (): number => Number(process.hrtime.bigint() / 1_000n);

/** Samples since `fromUs` in which this thread did anything, and those of them that only watched, by file. */
function countSamples(
  { nodes, samples, startTime, timeDeltas }: Profile,
  fromUs: number,
): { busy: number; eyes: Map<string, number> } {
  const parents = new Map(
    nodes.flatMap(({ id, children = [] }) => children.map((child): [number, number] => [child, id])),
  );
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]));
  const fileOf = (id: number): string | undefined => {
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const { url } = frames.get(at)!;
      if (watching.test(url)) return url.split("/").slice(-2).join("/");
    }
    return undefined;
  };
  const files = new Map(nodes.map(({ id }) => [id, fileOf(id)]));
  const eyes = new Map<string, number>();
  let busy = 0;
  let atUs = startTime;
  for (const [index, id] of samples.entries()) {
    atUs += timeDeltas[index]!;
    if (atUs < fromUs) continue;
    if (frames.get(id)!.functionName === "(idle)") continue;
    busy++;
    const file = files.get(id);
    if (file !== undefined) eyes.set(file, (eyes.get(file) ?? 0) + 1);
  }
  return { busy, eyes };
}

const folder = mkdtempSync(join(tmpdir(), "hearth-eyes-"));
const load = loadavg()[0]!;
const audience = new Set<LoadViewer>();
const ticking = setInterval(() => {
  const nowMs = performance.now();
  for (const viewer of audience) viewer.tick(nowMs);
}, 2);
try {
  let cpuShare = 0;
  let fromUs = 0;
  let scrapes = 0;
  {
    await using edge = await startEdgeUnderLoad({ nodeArgs: ["--cpu-prof", "--cpu-prof-dir", folder] });
    const url = `${edge.url.replace("http", "ws")}/app/stream`;
    const options = { checkEvery: 1_000_000, isGenuine: () => true };
    const join = () => LoadViewer.join(url, options, (viewer) => audience.add(viewer));
    const joining: Promise<LoadViewer>[] = [];
    for (let index = 0; index < viewers; index++) {
      joining.push(join());
      await sleep(1_000 / joinsPerSecond);
    }
    await Promise.all(joining);
    // What is compiled with the first scrape is the start's.
    await edge.metrics();
    const before = edge.cost.cpuSeconds;
    fromUs = monotonicUs();
    const startMs = performance.now();
    let nextScrapeMs = startMs;
    while (performance.now() < startMs + seconds * 1_000) {
      const [oldest] = audience;
      if (oldest) audience.delete(oldest);
      oldest?.close();
      await Promise.all([join(), sleep(1_000 / leavesPerSecond)]);
      if (performance.now() < nextScrapeMs) continue;
      nextScrapeMs += scrapeEveryMs;
      scrapes++;
      assert.match(await edge.metrics(), /^hearth_webrtc_viewers/m);
    }
    cpuShare = (edge.cost.cpuSeconds - before) / ((performance.now() - startMs) / 1_000);
    for (const viewer of audience) viewer.close();
    audience.clear();
  }
  const profiles = readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), "utf8")) as Profile);
  const counts = profiles.map((profile) => countSamples(profile, fromUs));
  const busy = counts.reduce((sum, count) => sum + count.busy, 0);
  const byFile = new Map<string, number>();
  for (const { eyes } of counts) for (const [file, count] of eyes) byFile.set(file, (byFile.get(file) ?? 0) + count);
  const share = [...byFile.values()].reduce((sum, count) => sum + count, 0) / busy;
  console.log(
    `eyes-share: logs, metrics and statistics are ${(100 * share).toFixed(2)} % of the edge's CPU with ${viewers} viewers ` +
      `(${(100 * cpuShare).toFixed(0)} % of a core, ${busy} samples, ${scrapes} scrapes), load ${load.toFixed(1)}`,
  );
  for (const [file, count] of [...byFile].toSorted(([, a], [, b]) => b - a).slice(0, 5))
    console.log(`  ${((100 * count) / busy).toFixed(2)} %  ${file}`);
  assert.ok(scrapes >= 2 && busy > 1_000, "the edge was watched while it worked");
  assert.ok(byFile.size > 0, "logs and metrics are found in the profile");
  assert.ok(share <= wantedShare, `wanted: at most ${100 * wantedShare} %`);
} finally {
  clearInterval(ticking);
  rmSync(folder, { recursive: true, force: true });
}
