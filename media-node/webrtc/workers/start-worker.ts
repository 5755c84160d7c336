import { Worker } from "node:worker_threads";
import { messageOf } from "../../flow/errors.ts";
import type { WorkerPoolOptions } from "./worker-pool.ts";
import type { WorkerReport, WorkerStart } from "./worker-messages.ts";

/** Starts media workers as threads of this process, each on its own port. */
export function startWorkerThread(portOf: (index: number) => WorkerStart["port"]): WorkerPoolOptions["start"] {
  return (index, ring, onReport, onExit) => {
    const workerData: WorkerStart = { ring, port: portOf(index) };
    const worker = new Worker(new URL("media-worker.ts", import.meta.url), {
      workerData,
      name: `media-${index}`,
      resourceLimits: { maxYoungGenerationSizeMb: 8 },
    });
    worker.unref();
    let cause = "it ended by itself";
    worker.on("message", (report: WorkerReport) => {
      if (report.type === "failed") cause = report.message;
      onReport(report);
      if (report.type === "failed") void worker.terminate();
    });
    worker.on("error", (thrown) => (cause = messageOf(thrown)));
    worker.on("exit", () => onExit(cause));
    return { terminate: async () => void (await worker.terminate()) };
  };
}
