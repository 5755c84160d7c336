// Viewers whose requests go to one edge and another by turns, as behind a balancer: how many are there in the cluster?
import assert from "node:assert/strict";
import { test } from "node:test";
import { startLaptopCluster } from "../../infra/laptop/cluster.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { until } from "../support/until.ts";
import { playOnce } from "../support/whep-viewer.ts";

const stream = "default/app/stream";

interface ClusterReport {
  readonly nodes: readonly { readonly id: string; readonly streams: Readonly<Record<string, number>> }[];
  readonly viewers: Readonly<Record<string, number>>;
}

test("a viewer at two edges is one, for the router and for both edges", { timeout: 120_000 }, async (t) => {
  const redis = await startRedisServer();
  t.after(() => redis.close());
  const cluster = await startLaptopCluster({ routerPort: 0, edges: 2, redisUrl: redis.url });
  t.after(() => cluster.close());
  const edges = [...cluster.ready].filter(([id]) => id.startsWith("edge")).map(([, ready]) => ready);
  const masters = ["llhls.m3u8", "llhls.m3u8", "llhls.m3u8", "ts:playlist.m3u8"];
  const lists = await Promise.all(
    masters.map(async (name) => {
      const master = await until("the stream plays", 20_000, async () => {
        const answer = await fetch(`${cluster.url}/app/stream/${name}`);
        return answer.ok ? answer.text() : undefined;
      });
      return /^(?:chunklist|medialist)_.*$/m.exec(master)![0];
    }),
  );
  assert.equal(new Set(lists).size, 4, "each has a session of its own");
  await using _ = await playOnce(`${cluster.url}/app/stream/whep`);
  let turn = 0;
  /** One after the other comes to this edge and that. */
  const watch = async (): Promise<void> => {
    turn++;
    for (const [index, list] of lists.entries()) {
      const answer = await fetch(`${edges[(turn + index) % 2]!.url}/app/stream/${list}`);
      assert.equal(answer.status, 200);
      await answer.arrayBuffer();
    }
  };
  const { report, sum } = await until("everybody is counted, and counted once", 60_000, async () => {
    await watch();
    const report = (await (await fetch(`${cluster.url}/-/cluster`)).json()) as ClusterReport;
    const sum = report.nodes.reduce((viewers, { streams }) => viewers + (streams[stream] ?? 0), 0);
    return sum === 9 && report.viewers[stream] === 5 ? { report, sum } : undefined;
  });
  t.diagnostic(JSON.stringify({ turn, sum, viewers: report.viewers }));
  for (const { operatorPort } of edges)
    await until("the edge's metrics say the same", 20_000, async () => {
      await watch();
      const metrics = await (await fetch(`http://127.0.0.1:${operatorPort}/metrics`)).text();
      const isCounted = metrics.includes('hearth_stream_cluster_viewers{stream="default/app/stream"} 5');
      return isCounted && metrics.includes('hearth_viewers{protocol="hls"} 1');
    });
});
