// Edges go on purpose: nobody who watches notices. One of three is drained; then five are restarted one after the other.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { startLaptopCluster, type LaptopCluster } from "../../infra/laptop/cluster.ts";
import { HlsViewer } from "../support/hls-viewer.ts";
import { untilRouterKnows } from "../support/router-knows.ts";
import { until } from "../support/until.ts";
import { WhepViewer } from "../support/whep-viewer.ts";

/** Viewers, scaled to a machine that runs the whole cluster, too. */
const webRtcViewers = Number(process.env["HEARTH_TEST_WEBRTC_VIEWERS"] ?? 12);
const hlsViewers = Number(process.env["HEARTH_TEST_HLS_VIEWERS"] ?? 12);
const drainMs = 30_000;

interface Audience extends AsyncDisposable {
  readonly whep: readonly WhepViewer[];
  readonly hls: readonly HlsViewer[];
}

async function audience(cluster: LaptopCluster): Promise<Audience> {
  const stream = `${cluster.url}/app/stream`;
  const whep = Array.from({ length: webRtcViewers }, () => new WhepViewer(`${stream}/whep`));
  // Every third LL-HLS player knows no steering.
  const hls = Array.from(
    { length: hlsViewers },
    (_, index) => new HlsViewer(`${stream}/llhls.m3u8${index % 3 === 2 ? "" : "?steering=1"}`),
  );
  const all = [...whep, ...hls];
  await until("everybody watches", 30_000, () => all.every(({ node }) => node !== undefined));
  // What went wrong before the drain is another test's.
  for (const viewer of all) assert.deepEqual(viewer.failures, []);
  return {
    whep,
    hls,
    async [Symbol.asyncDispose]() {
      await Promise.all(all.map((viewer) => viewer.close()));
    },
  };
}

const edgesOf = (cluster: LaptopCluster): [id: string, url: string][] =>
  [...cluster.ready].flatMap(([id, { url }]) => (id.startsWith("edge") ? [[id, url!]] : []));

/**
 * Drains the edge and checks that it ended by itself.
 * @returns viewers it had when it ended: more than none when its time was over
 */
async function drained(t: TestContext, { cluster, drains }: Observed, id: string): Promise<number> {
  const startMs = performance.now();
  const before = drains.length;
  const code = await cluster.nodes.get(id)!.stop("SIGTERM", drainMs + 2_000);
  t.diagnostic(`${id} drained in ${Math.round(performance.now() - startMs)} ms`);
  assert.equal(code, 0, "it ended by itself, within its limit");
  // What a process wrote may be read after its end.
  const ended = await until(`${id} says how its drain ended`, 5_000, () =>
    drains.slice(before).find(({ node }) => node === id),
  );
  return ended.viewers;
}

/** A cluster, and how the drains of its nodes ended. */
interface Observed {
  readonly cluster: LaptopCluster;
  readonly drains: readonly { readonly node: string; readonly viewers: number }[];
}

async function observed(t: TestContext, edges: number): Promise<Observed> {
  const drains: { node: string; viewers: number }[] = [];
  const cluster = await startLaptopCluster({
    routerPort: 0,
    edges,
    onLog: (_node, text) => {
      for (const line of text.split("\n"))
        if (line.includes('"event":"node drained"')) drains.push(JSON.parse(line) as (typeof drains)[number]);
    },
  });
  t.after(() => cluster.close());
  await untilRouterKnows(cluster, edges);
  return { cluster, drains };
}

/** Resolves when every viewer got media after now. */
async function untilAllPlayOn({ whep, hls }: Audience): Promise<void> {
  const packets = whep.map((viewer) => viewer.packets);
  const nowMs = performance.now();
  await until("everybody plays on", 5_000, () => {
    const hasPictures = whep.every((viewer, index) => viewer.packets > packets[index]!);
    return hasPictures && hls.every(({ lastMs }) => lastMs !== undefined && lastMs > nowMs);
  });
}

/** At 200 ms a part, players hold about a second; more than that without media is a stall. */
function assertNobodyNoticed(t: TestContext, { whep, hls }: Audience): void {
  const worst = (gaps: number[]): number => Math.round(Math.max(...gaps));
  const gaps = { whep: worst(whep.map((v) => v.longestGapMs)), hls: worst(hls.map((v) => v.longestGapMs)) };
  t.diagnostic(JSON.stringify({ longestGapMs: gaps, requests: hls.reduce((sum, v) => sum + v.requests, 0) }));
  assert.deepEqual(
    [...whep, ...hls].flatMap(({ failures }) => failures),
    [],
  );
  assert.deepEqual(
    hls.flatMap(({ skips }) => skips),
    [],
    "nothing left the playlist before it was played",
  );
}

test("draining one of three edges moves everybody, without one failed request", { timeout: 120_000 }, async (t) => {
  const watched = await observed(t, 3);
  const { cluster } = watched;
  await using viewers = await audience(cluster);
  const busiest = edgesOf(cluster)
    .map(([id, url]) => ({ id, url, count: [...viewers.whep, ...viewers.hls].filter((v) => v.node === url).length }))
    .toSorted((a, b) => b.count - a.count)[0]!;
  assert.ok(busiest.count > 0);
  const elsewhere = viewers.whep.filter(({ node }) => node !== busiest.url);
  assert.equal(await drained(t, watched, busiest.id), 0, "all moved, and it did not end because its time was over");
  for (const viewer of [...viewers.whep, ...viewers.hls]) assert.notEqual(viewer.node, busiest.url);
  for (const { nodes } of elsewhere) assert.equal(nodes.length, 1, "who watched elsewhere was left alone");
  await untilAllPlayOn(viewers);
  assertNobodyNoticed(t, viewers);
});

test("a rolling restart of five edges, two at a time, loses nobody", { timeout: 180_000 }, async (t) => {
  const watched = await observed(t, 5);
  const { cluster } = watched;
  await using viewers = await audience(cluster);
  const ids = edgesOf(cluster).map(([id]) => id);
  for (let at = 0; at < ids.length; at += 2) {
    await Promise.all(
      ids.slice(at, at + 2).map(async (id) => {
        // Two drains and two starts at a time can take a busy machine longer than a node waits: that nobody lost
        // anything is what counts.
        t.diagnostic(`${id} ended with ${await drained(t, watched, id)} viewers`);
        await cluster.nodes.get(id)!.start();
      }),
    );
    await untilRouterKnows(cluster, 5);
  }
  await untilAllPlayOn(viewers);
  t.diagnostic(`most moves of a viewer: ${Math.max(...viewers.whep.map(({ nodes }) => nodes.length - 1))}`);
  assertNobodyNoticed(t, viewers);
});
