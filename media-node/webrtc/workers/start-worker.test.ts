import assert from "node:assert/strict";
import { test } from "node:test";
import { newCertificate } from "../transport/certificate.ts";
import { startWorkerThread } from "./start-worker.ts";
import { newSharedRing } from "./shared-ring.ts";
import type { WorkerReport } from "./worker-messages.ts";

const certificate = newCertificate(Date.UTC(2026, 0));

test("a thread is ended at any moment of its start, and when it serves, without harm to the process", async () => {
  const start = startWorkerThread(() => ({ port: 0, advertisedAddresses: ["127.0.0.1"], certificate }));
  for (const waitMs of [0, 60, 90, 120, 150, 180, 240, Number.POSITIVE_INFINITY]) {
    const reports: WorkerReport[] = [];
    const ended: string[] = [];
    const ready = Promise.withResolvers<void>();
    const onReport = (report: WorkerReport): void => {
      reports.push(report);
      if (report.type === "ready") ready.resolve();
    };
    const thread = start(0, newSharedRing(1 << 20), onReport, (cause) => ended.push(cause));
    const soon = new Promise<void>((resolve) => void (waitMs < Infinity && setTimeout(resolve, waitMs)));
    await Promise.race([ready.promise, soon]);
    await thread.terminate();
    assert.deepEqual(ended, ["it ended by itself"], `after ${waitMs} ms`);
    assert.ok(waitMs < Infinity || reports.some(({ type }) => type === "ready"));
    await thread.terminate();
  }
});

test("a thread that the system does not give ends like one that ended by itself, in a later turn", async () => {
  // What cannot be copied into another thread keeps it from being made.
  const start = startWorkerThread(() => ({ port: 0, certificate, addresses: [(() => {}) as unknown as string] }));
  const ended: string[] = [];
  const thread = start(
    0,
    newSharedRing(1 << 20),
    () => assert.fail("it reports"),
    (cause) => ended.push(cause),
  );
  assert.deepEqual(ended, []);
  await thread.terminate();
  assert.equal(ended.length, 1);
});
