// Random schedules over the claim scripts: pauses, partitions, late requests, restarts, a store that forgets, loses its
// last writes or jumps in time, and an OvenMediaEngine origin beside. `HEARTH_SEED=n` runs schedule n alone.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { Schedules } from "../support/claim-schedules-worker.ts";
import { startRedisServer } from "../support/redis-server.ts";

const seedOfOne = process.env["HEARTH_SEED"];
const seeds = (count: number): number[] =>
  seedOfOne === undefined ? Array.from({ length: count }, (_, seed) => seed) : [Number(seedOfOne)];

/** Each in a thread: the model computes while redis-server is waited for. */
async function runInThread(workerData: Schedules): Promise<void> {
  // What a schedule leaves behind is garbage at once; with little room for the young, the collector is a seventh of the work.
  const resourceLimits = { maxYoungGenerationSizeMb: 64 };
  const worker = new Worker(new URL("../support/claim-schedules-worker.ts", import.meta.url), {
    workerData,
    resourceLimits,
  });
  assert.deepEqual(await once(worker, "exit"), [0]);
}

describe("random schedules", { concurrency: true }, () => {
  test("no two owners and no live entry lost in ten thousand schedules", () =>
    runInThread({ seeds: seeds(10_000), ms: 40_000 }));

  test("redis-server decides as the model does in two hundred of them", async () => {
    await using stack = new AsyncDisposableStack();
    const server = await startRedisServer();
    stack.defer(() => server.close());
    await runInThread({ seeds: seeds(200), ms: 30_000, redisUrl: server.url });
  });
});
