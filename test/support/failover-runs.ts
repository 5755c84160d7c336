// What is done to origins again and again while a viewer watches, and what the viewer saw of it.
import type { StreamHold } from "../../media-node/core/stream-hub.ts";
import { holdOf, openFailoverWorld, WatchingViewer, type FailoverWorld } from "./failover-world.ts";
import { until } from "./until.ts";

/** Of the clip. */
const groupMs = 1_000;

export interface RunResult {
  readonly count: number;
  readonly worstMs: number;
  readonly medianMs: number;
  readonly missing: number;
  readonly backward: number;
  readonly discontinuities: number;
  /** `EXT-X-DISCONTINUITY` in any playlist. */
  readonly tags: number;
  readonly groupMs: number;
}

function resultOf(gaps: readonly number[], viewer: WatchingViewer, tags = 0): RunResult {
  const sorted = gaps.toSorted((a, b) => a - b);
  return {
    count: gaps.length,
    worstMs: sorted.at(-1)!,
    medianMs: sorted[sorted.length >> 1]!,
    missing: viewer.missing(),
    backward: viewer.backward,
    discontinuities: viewer.discontinuities,
    tags,
    groupMs,
  };
}

async function watching(world: FailoverWorld): Promise<{ hold: StreamHold; viewer: WatchingViewer }> {
  const hold = holdOf(await world.watch());
  const viewer = new WatchingViewer(hold.stream);
  await until("frames come", 10_000, () => viewer.frames.length > 5);
  return { hold, viewer };
}

const framesAgain = (viewer: WatchingViewer, sinceMs: number, withinMs: number): Promise<number> =>
  until("frames come again", withinMs, () => viewer.frames.filter(({ atMs }) => atMs > sinceMs).length > 5).then(() =>
    viewer.gapMs(sinceMs),
  );

/** Reads every media playlist of the stream. */
async function discontinuityTags(url: string): Promise<number> {
  const master = await (await fetch(`${url}/app/stream/llhls.m3u8`)).text();
  const names = master.split("\n").flatMap((line) => /(?:^|URI=")(chunklist_[^"]+)/.exec(line)?.[1] ?? []);
  let tags = 0;
  for (const name of new Set(names)) {
    const text = await (await fetch(`${url}/app/stream/${name}`)).text();
    tags += text.split("\n").filter((line) => line.startsWith("#EXT-X-DISCONTINUITY")).length;
  }
  return names.length === 0 ? Number.NaN : tags;
}

/** Kills the source in use `count` times; there are two. */
export async function runKills(count: number): Promise<RunResult> {
  await using world = await openFailoverWorld();
  const { viewer } = await watching(world);
  const gaps: number[] = [];
  let tags = await discontinuityTags(world.edge.url!);
  for (let kill = 0; kill < count; kill++) {
    const used = world.first.openCount > 0 ? world.first : world.second;
    const atMs = performance.now();
    await used.down();
    gaps.push(await framesAgain(viewer, atMs, 10_000));
    await used.up();
    // A URL is tried once a second.
    await until("a second passes", 2_000, () => performance.now() - atMs > 1_050);
    tags += await discontinuityTags(world.edge.url!);
  }
  return resultOf(gaps, viewer, tags);
}

/** Freezes the source in use; `worstMs` is from the last frame before to the first after. */
export async function runFreezes(count: number, timeoutMs = 1_000): Promise<RunResult & { timeoutMs: number }> {
  const properties = `<NoInputFailoverTimeout>${timeoutMs}</NoInputFailoverTimeout>`;
  await using world = await openFailoverWorld({ properties });
  const { viewer } = await watching(world);
  const gaps: number[] = [];
  for (let freeze = 0; freeze < count; freeze++) {
    const used = world.first.openCount > 0 ? world.first : world.second;
    const atMs = performance.now();
    used.set("freeze");
    gaps.push(await framesAgain(viewer, atMs, timeoutMs + 10_000));
    used.cut();
    used.set("pass");
    await until("only one is open", 5_000, () => world.first.openCount + world.second.openCount === 1);
  }
  return { ...resultOf(gaps, viewer), timeoutMs };
}

export interface OutageResult {
  readonly downMs: number;
  readonly viewers: number;
  readonly resumed: number;
  readonly backMs: number;
  readonly connects: number;
}

/** The only URL is down for a while; viewers stay. */
export async function runOutage(downMs: number, viewers: number): Promise<OutageResult> {
  await using world = await openFailoverWorld({ urls: 1 });
  await watching(world);
  const all = await Promise.all(
    Array.from({ length: viewers }, async () => new WatchingViewer(holdOf(await world.watch()).stream)),
  );
  const connectsBefore = world.first.connects.length;
  await world.first.down();
  await new Promise((resolve) => setTimeout(resolve, downMs));
  await world.first.up();
  const atMs = performance.now();
  const isBack = (viewer: WatchingViewer): boolean => (viewer.frames.at(-1)?.atMs ?? 0) > atMs;
  await until("every viewer sees frames", 10_000, () => all.every(isBack)).catch(() => {});
  return {
    downMs,
    viewers,
    resumed: all.filter((viewer) => isBack(viewer) && viewer.ends.length === 0).length,
    backMs: performance.now() - atMs,
    connects: world.first.connects.length - connectsBefore,
  };
}

/** The first URL comes back `count` times, and is returned to while the second one plays on. */
export async function runReturns(count: number): Promise<RunResult> {
  await using world = await openFailoverWorld({
    properties: "<StreamFailbackTimeout>300</StreamFailbackTimeout>",
    rule: "<Failback>true</Failback>",
  });
  const { viewer } = await watching(world);
  const gaps: number[] = [];
  let missing = 0;
  for (let round = 0; round < count; round++) {
    await world.first.down();
    await until("the second one plays", 10_000, () => world.second.openCount > 0);
    await framesAgain(viewer, performance.now(), 10_000);
    const sinceMs = performance.now();
    await world.first.up();
    const isReturned = (): boolean => world.first.openCount === 1 && world.second.openCount === 0;
    await until("the first one plays alone", 200_000, isReturned);
    await framesAgain(viewer, performance.now(), 10_000);
    gaps.push(viewer.longestGapMs(sinceMs));
    missing += viewer.missing(sinceMs);
  }
  return { ...resultOf(gaps, viewer), missing };
}
