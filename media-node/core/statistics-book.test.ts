import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeSource, frame } from "../../test/support/fake-source.ts";
import { silentLogger } from "../flow/logger.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { StatisticsBook } from "./statistics-book.ts";
import { StreamHub } from "./stream-hub.ts";

const name = { vhost: "default", app: "app", stream: "live" };

test("what came and went in a stream's last second stays in the sums", async () => {
  const clock = new ManualClock();
  const source = new FakeSource();
  const hub = new StreamHub({
    clock,
    logger: silentLogger,
    nodeId: "me",
    plan: async () => ({
      urls: ["fake://a/app/live"],
      from: "rule",
      noInputTimeoutMs: 3_000,
      unusedTimeoutMs: 10_000,
      graceMs: 30_000,
      isPersistent: false,
    }),
    openers: new Map([["fake", async () => source]]),
  });
  const book = new StatisticsBook(hub, clock);
  const acquired = await hub.acquire(name, { protocol: "webrtc" });
  if (acquired.kind !== "stream") assert.fail(acquired.reason);
  acquired.hold.sentBytes = () => 1_000;
  source.push(frame(0));
  clock.advance(1_000);
  for (let index = 1; index <= 10; index++) source.push(frame(index));
  acquired.hold.sentBytes = () => 5_000;
  await hub.end(name, { code: "deleted" });
  for (const scope of ["", "default", "default/app"]) {
    const { bytesIn, bytesOut } = book.figures(scope)!;
    assert.deepEqual([bytesIn, bytesOut], [22, 5_000], scope);
  }
  assert.equal(book.stream(name), undefined);
  clock.advance(1_000);
  assert.deepEqual([book.figures("")!.bytesIn, book.figures("")!.totalConnections], [22, 0]);
  book.close();
  await hub.close({ code: "done" });
});
