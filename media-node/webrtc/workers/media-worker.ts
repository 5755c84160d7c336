// The thread of a media worker: its own port, its own viewers, streams from the ring. Started by worker-pool.ts.
import { randomBytes } from "node:crypto";
import { parentPort, workerData } from "node:worker_threads";
import { messageOf } from "../../flow/errors.ts";
import type { LogFields, Logger } from "../../flow/logger.ts";
import { every, systemClock } from "../../time/clock.ts";
import { openMediaPort } from "../transport/open-media-port.ts";
import { RingReader } from "./shared-ring.ts";
import type { WorkerReport, WorkerStart } from "./worker-messages.ts";
import { WorkerRoom } from "./worker-room.ts";

const statsMs = 1_000;

const { ring, port: portOptions } = workerData as WorkerStart;
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread, not a window
const report = (message: WorkerReport): void => parentPort!.postMessage(message);

function forward(level: "warn" | "error") {
  return (event: string, fields: LogFields = {}): void => report({ type: "log", level, event, fields });
}
// What is opened and closed is logged by the main thread, which knows whose viewer it is.
const logger: Logger = { debug() {}, info() {}, warn: forward("warn"), error: forward("error"), with: () => logger };

async function run(): Promise<void> {
  const reader = new RingReader(ring);
  let drain = (): void => {};
  const port = await openMediaPort({ ...portOptions, clock: systemClock, logger, catchUp: () => drain() });
  const room = new WorkerRoom({
    port,
    clock: systemClock,
    logger,
    random: randomBytes,
    defer: setImmediate,
    report,
  });
  drain = () => void reader.drain((record) => room.receive(record));
  every(systemClock, statsMs, () =>
    report({ type: "stats", port: port.stats, streams: room.streamStats, sent: room.sentBytes }),
  );
  report({ type: "ready", candidates: port.candidates, fingerprint: port.fingerprint, tier: port.tier });
  for (;;) {
    drain();
    await reader.wait();
  }
}

// The only thing that is said here: all else comes by the ring.
parentPort!.once("message", () => process.exit());
run().catch((thrown: unknown) => report({ type: "failed", message: messageOf(thrown) }));
