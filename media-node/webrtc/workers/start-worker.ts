import { Worker } from "node:worker_threads";
import { messageOf } from "../../flow/errors.ts";
import type { WorkerPoolOptions } from "./worker-pool.ts";
import type { WorkerReport, WorkerStart } from "./worker-messages.ts";

/** Starts media workers as threads of this process, each on its own port. */
export function startWorkerThread(portOf: (index: number) => WorkerStart["port"]): WorkerPoolOptions["start"] {
  return (index, ring, onReport, onExit) => {
    const workerData: WorkerStart = { ring, port: portOf(index) };
    let worker: Worker;
    try {
      worker = new Worker(new URL("media-worker.ts", import.meta.url), {
        workerData,
        name: `media-${index}`,
        resourceLimits: { maxYoungGenerationSizeMb: 8 },
      });
    } catch (thrown) {
      // The system has no thread left.
      queueMicrotask(() => onExit(messageOf(thrown)));
      return { terminate: () => Promise.resolve() };
    }
    worker.unref();
    let cause = "it ended by itself";
    worker.on("message", (report: WorkerReport) => {
      if (report.type === "failed") cause = report.message;
      onReport(report);
      if (report.type === "failed") void end(worker);
    });
    worker.on("error", (thrown) => (cause = messageOf(thrown)));
    worker.on("exit", () => onExit(cause));
    return { terminate: () => end(worker) };
  };
}

/** For a thread that has stopped turning its loop. */
const deafMs = 5_000;

/**
 * A thread ends itself, between two calls into native code: `Worker.terminate` in the middle of one would end the process,
 * for it makes V8 throw where the native side cannot.
 */
function end(worker: Worker): Promise<void> {
  if (worker.threadId < 0) return Promise.resolve();
  return new Promise((resolve) => {
    const deaf = setTimeout(() => void worker.terminate(), deafMs);
    worker.once("exit", () => (clearTimeout(deaf), resolve()));
    worker.ref();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
    worker.postMessage("end");
  });
}
