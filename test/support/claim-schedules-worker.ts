// Away from the test runner, whose bookkeeping of every promise costs more than the schedules.
import { workerData } from "node:worker_threads";
import { runSchedule, scriptedStore } from "./claim-schedules.ts";

const { seeds, ms } = workerData as { readonly seeds: readonly number[]; readonly ms: number };
for (const seed of seeds) await runSchedule(seed, scriptedStore(), ms);
