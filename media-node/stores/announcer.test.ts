import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { StoreUnavailable, type ClusterStore, type NodeRecord } from "../cluster/store/contract.ts";
import { silentLogger } from "../flow/logger.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { Announcer } from "./announcer.ts";

const record: NodeRecord = {
  id: "n1",
  url: "http://127.0.0.1:3333",
  state: "serving",
  protocols: ["llhls"],
  region: "",
  viewers: 0,
  maxViewers: 100,
  egressBps: 0,
  cpu: 0,
  streams: {},
  origins: [],
  startedMs: 0,
};

function scene(put: (signed: string) => Promise<void> = async () => {}) {
  const calls: string[] = [];
  const clock = new ManualClock();
  const storeAhead = { ms: 0 };
  const signedMs: number[] = [];
  const refuse = (): Promise<never> => Promise.reject(new Error("not asked for here"));
  const store: ClusterStore = {
    putNode: async (id, signed) => {
      calls.push(`put ${id} ${signed}`);
      await put(signed);
      return clock.wallMs() + storeAhead.ms;
    },
    dropNode: async (id) => void calls.push(`drop ${id}`),
    claim: refuse,
    release: refuse,
    lookup: refuse,
    snapshot: refuse,
    close: refuse,
  };
  let viewers = 0;
  const announcer = new Announcer({
    store,
    clock,
    logger: silentLogger,
    id: "n1",
    record: () => ({ ...record, viewers: viewers++ }),
    sign: async (record, nowMs) => {
      signedMs.push(nowMs);
      return `signed ${record.viewers}`;
    },
  });
  return { announcer, clock, storeAhead, signedMs, take: () => calls.splice(0) };
}

test("publishes a fresh signed record at once and every two seconds", async () => {
  const { announcer, clock, take } = scene();
  await turn();
  assert.deepEqual(take(), ["put n1 signed 0"]);
  clock.advance(1_999);
  await turn();
  assert.deepEqual(take(), []);
  clock.advance(1);
  await turn();
  assert.deepEqual(take(), ["put n1 signed 1"]);
  await announcer.close();
});

test("publishes at once when asked, also while a record is under way", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { announcer, clock, take } = scene(() => promise);
  await turn();
  announcer.announce();
  announcer.announce();
  await turn();
  assert.deepEqual(take(), ["put n1 signed 0"]);
  resolve();
  await turn();
  assert.deepEqual(take(), ["put n1 signed 1"]);
  announcer.announce();
  await turn();
  assert.deepEqual(take(), ["put n1 signed 2"]);
  clock.advance(2_000);
  await turn();
  assert.deepEqual(take(), ["put n1 signed 3"], "one turn, not two");
  await announcer.close();
});

test("signs by the store's clock, and signs again soon when its own turns out to be wrong", async () => {
  const { announcer, clock, storeAhead, signedMs } = scene();
  storeAhead.ms = -60_000;
  const startMs = clock.wallMs();
  await turn();
  clock.advance(500);
  await turn();
  assert.deepEqual(signedMs.splice(0), [startMs, startMs + 500 - 60_000]);
  storeAhead.ms = -60_400;
  for (const lateMs of [-60_000, -60_400]) {
    clock.advance(2_000);
    await turn();
    assert.deepEqual(signedMs.splice(0), [clock.wallMs() + lateMs], "a small correction waits for its turn");
  }
  await announcer.close();
});

test("tries on every half second while the store is away", async () => {
  let isAway = true;
  const { announcer, clock, take } = scene(async () => {
    if (isAway) throw new StoreUnavailable("away");
  });
  await turn();
  clock.advance(500);
  await turn();
  isAway = false;
  clock.advance(500);
  await turn();
  assert.deepEqual(take(), ["put n1 signed 0", "put n1 signed 1", "put n1 signed 2"]);
  clock.advance(500);
  await turn();
  assert.deepEqual(take(), [], "and is content then");
  await announcer.close();
});

test("takes the record back when it closes, after the one under way", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { announcer, clock, take } = scene(() => promise);
  await turn();
  const closed = Promise.all([announcer.close(), announcer.close()]);
  await turn();
  assert.deepEqual(take(), ["put n1 signed 0"]);
  resolve();
  await closed;
  announcer.announce();
  await turn();
  assert.deepEqual(take(), ["drop n1"]);
  assert.equal(clock.pendingTimers, 0);
});
