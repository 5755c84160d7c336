// What does one reading of the cluster cost at 1,000 nodes and 10,000 streams? It stops Redis for as long as it runs,
// and its reply is what the router's 10 MB and 5 ms have room for. Compared with the same nodes without streams.
import assert from "node:assert/strict";
import { connectRedisStore } from "../../media-node/stores/redis-store.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { systemClock } from "../../media-node/time/clock.ts";
import { startRedisServer } from "../support/redis-server.ts";
import { rawRedis } from "../support/redis-under-test.ts";

const nodes = 1_000;
const streams = 10_000;
/** How many nodes carry a stream. */
const copies = 3;
const rounds = 50;
const name = { vhost: "default", app: "app", stream: "stream-5000" };

function recordOf(node: number, perNode: number): string {
  const carried = Array.from({ length: perNode }, (_, index) => [
    `default/app/stream-${(node * perNode + index) % streams}`,
    17,
  ]);
  const record = {
    id: `node-${node}`,
    url: `https://edge-${node}.example.net:3334`,
    state: "serving",
    protocols: ["webrtc", "whep", "llhls"],
    region: "weur",
    viewers: 512,
    maxViewers: 1_000,
    egressBps: 2_000_000_000,
    cpu: 0.5,
    streams: Object.fromEntries(carried),
    origins: [],
    startedMs: 1_700_000_000_000,
  };
  return `v1.${"A".repeat(43)}.${JSON.stringify(record)}`;
}

const server = await startRedisServer();
const { raw, close } = await rawRedis(server.url);
const store = await connectRedisStore({ url: server.url, clock: systemClock, logger: silentLogger, deadlineMs: 5_000 });
try {
  const medians: number[] = [];
  for (const perNode of [0, (streams * copies) / nodes]) {
    await raw("FLUSHALL");
    const claims = Array.from({ length: streams }, (_, stream) =>
      store.claim({ ...name, stream: `stream-${stream}`, url: `ovt://o:9000/app/stream-${stream}`, owner: "o" }),
    );
    await Promise.all(claims);
    const [times, stopped]: [number[], number[]] = [[], []];
    let bytes = 0;
    for (let round = -5; round < rounds; round++) {
      // Leases are short: every record is renewed before it is read.
      await Promise.all(
        Array.from({ length: nodes }, (_, node) => store.putNode(`node-${node}`, recordOf(node, perNode))),
      );
      await raw("CONFIG", "RESETSTAT");
      const startedMs = performance.now();
      const snapshot = await store.snapshot(name);
      if (round >= 0) times.push(performance.now() - startedMs);
      if (round >= 0) stopped.push(await serverMsOf(raw));
      assert.equal(snapshot.nodes.length, nodes);
      assert.deepEqual(snapshot.origins, ["ovt://o:9000/app/stream-5000"]);
      bytes = snapshot.nodes.reduce((sum, record) => sum + record.length, 0);
    }
    medians.push(medianOf(times));
    const memory = /used_memory_human:(\S+)/.exec(String(await raw("INFO", "memory")))?.[1];
    console.log(
      `${perNode} streams a node: ${(bytes / 1e6).toFixed(2)} MB in ${medianOf(times).toFixed(1)} ms, ` +
        `Redis stops for ${medianOf(stopped).toFixed(1)} ms and holds ${memory} (medians of ${rounds})`,
    );
  }
  console.log(`ratio of medians, with streams to without: ${(medians[1]! / medians[0]!).toFixed(2)}`);
} finally {
  await store.close();
  await close();
  await server.close();
}

/** What Redis itself counted since RESETSTAT. */
async function serverMsOf(raw: (...command: readonly string[]) => Promise<unknown>): Promise<number> {
  const stats = String(await raw("INFO", "commandstats"));
  return Number(/cmdstat_evalsha:calls=\d+,usec=(\d+)/.exec(stats)?.[1] ?? 0) / 1_000;
}

function medianOf(times: readonly number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)]!;
}
