// Away from the test runner, whose bookkeeping of every promise costs more than the schedules.
import { workerData } from "node:worker_threads";
import { runSchedule, scriptedStore } from "./claim-schedules.ts";
import { comparedStore } from "./compared-store.ts";
import { rawRedis } from "./redis-under-test.ts";

/** What a thread is given to do. */
export interface Schedules {
  readonly seeds: readonly number[];
  /** How long each lives before it is left in peace. */
  readonly ms: number;
  /** A redis-server that has to decide as the model does; without it the model decides alone. */
  readonly redisUrl?: string;
}

const { seeds, ms, redisUrl } = workerData as Schedules;
if (redisUrl === undefined) {
  for (const seed of seeds) await runSchedule(seed, scriptedStore(), ms);
} else {
  const { raw, close } = await rawRedis(redisUrl);
  for (const seed of seeds) {
    await raw("FLUSHALL");
    await runSchedule(seed, comparedStore(raw), ms);
  }
  await close();
}
