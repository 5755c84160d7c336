import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { StoreUnavailable, type ClaimResult, type ClusterStore, type StreamClaim } from "../cluster/store/contract.ts";
import { silentLogger } from "../flow/logger.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { Registrar } from "./registrar.ts";

/** Remembers what it was told; answers as the test says. */
class ScriptedStore {
  readonly calls: string[] = [];
  answer: () => ClaimResult | Promise<ClaimResult> = () => ({ kind: "owner", epoch: 1 });
  inFlight = 0;
  mostInFlight = 0;

  async claim({ stream }: StreamClaim): Promise<ClaimResult> {
    this.calls.push(`claim ${stream}`);
    this.mostInFlight = Math.max(this.mostInFlight, ++this.inFlight);
    try {
      return await this.answer();
    } finally {
      this.inFlight--;
    }
  }

  async release({ stream }: StreamClaim): Promise<void> {
    this.calls.push(`release ${stream}`);
  }

  take(): string[] {
    return this.calls.splice(0);
  }

  get asStore(): ClusterStore {
    const refuse = (): Promise<never> => Promise.reject(new Error("not asked for here"));
    return {
      claim: (claim) => this.claim(claim),
      release: (claim) => this.release(claim),
      lookup: refuse,
      snapshot: refuse,
      putNode: refuse,
      dropNode: refuse,
      close: refuse,
    };
  }
}

const away = (): never => {
  throw new StoreUnavailable("away");
};
const claimOf = (stream: string, owner = "me"): StreamClaim => ({
  vhost: "default",
  app: "app",
  stream,
  url: `ovt://me:9000/app/${stream}`,
  owner,
});

function scene() {
  const store = new ScriptedStore();
  const clock = new ManualClock();
  const standings: string[] = [];
  const registrar = new Registrar({
    store: store.asStore,
    clock,
    logger: silentLogger,
    onStanding: ({ stream }, { kind }) => standings.push(`${stream} ${kind}`),
  });
  return { store, clock, registrar, standings };
}

test("claims a stream at once and renews it every 2.5 s", async () => {
  const { store, clock, registrar } = scene();
  registrar.add(claimOf("s"));
  registrar.add(claimOf("s"));
  await turn();
  assert.deepEqual(store.take(), ["claim s"]);
  for (let round = 0; round < 3; round++) {
    clock.advance(2_499);
    await turn();
    assert.deepEqual(store.take(), []);
    clock.advance(1);
    await turn();
    assert.deepEqual(store.take(), ["claim s"]);
  }
  assert.deepEqual(registrar.standing(claimOf("s")), { kind: "owner", epoch: 1 });
  await registrar.close();
});

test("tries on every half second while the store is away, until the stream is registered", async () => {
  const { store, clock, registrar, standings } = scene();
  store.answer = away;
  registrar.add(claimOf("s"));
  await turn();
  for (let round = 0; round < 100; round++) {
    assert.deepEqual(store.take(), ["claim s"]);
    clock.advance(500);
    await turn();
  }
  store.answer = () => ({ kind: "owner", epoch: 7 });
  clock.advance(500);
  await turn();
  assert.deepEqual(standings, ["s owner"]);
  await registrar.close();
});

test("knows its standing no longer than a lease", async () => {
  const { store, clock, registrar } = scene();
  registrar.add(claimOf("s"));
  await turn();
  store.answer = away;
  for (let passedMs = 0; passedMs < 9_500; passedMs += 500) {
    clock.advance(500);
    await turn();
  }
  assert.deepEqual(registrar.standing(claimOf("s")), { kind: "owner", epoch: 1 });
  clock.advance(500);
  assert.equal(registrar.standing(claimOf("s")), undefined);
  assert.deepEqual(registrar.list(), [{ claim: claimOf("s"), standing: undefined }]);
  await registrar.close();
});

test("says when a stream's standing changes, and only then", async () => {
  const { store, clock, registrar, standings } = scene();
  const answers: ClaimResult[] = [
    { kind: "standby", ownerUrl: "ovt://other/app/s" },
    { kind: "standby", ownerUrl: "ovt://other/app/s" },
    { kind: "owner", epoch: 3 },
    { kind: "owner", epoch: 3 },
    { kind: "standby", ownerUrl: "ovt://other/app/s" },
  ];
  store.answer = () => answers.shift()!;
  registrar.add(claimOf("s"));
  while (answers.length > 0) {
    await turn();
    clock.advance(2_500);
  }
  await turn();
  assert.deepEqual(standings, ["s standby", "s owner", "s standby"]);
  store.answer = () => ({ kind: "owner", epoch: 9 });
  await registrar.close();
});

test("logs an outage once, however many streams wait for its end", async () => {
  const store = new ScriptedStore();
  const clock = new ManualClock();
  const lines: string[] = [];
  const logger = { ...silentLogger, warn: (event: string) => void lines.push(event) };
  const registrar = new Registrar({ store: store.asStore, clock, logger });
  store.answer = away;
  for (let index = 0; index < 10; index++) registrar.add(claimOf(`s${index}`));
  for (let round = 0; round < 10; round++) {
    await turn();
    clock.advance(500);
  }
  assert.deepEqual(lines, ["stream not registered, trying on"]);
  await registrar.close();
});

test("logs once what is refused for one stream alone", async () => {
  const store = new ScriptedStore();
  const clock = new ManualClock();
  const lines: string[] = [];
  const logger = { ...silentLogger, warn: (event: string) => void lines.push(event) };
  const registrar = new Registrar({ store: store.asStore, clock, logger });
  store.answer = () => {
    if (store.calls.at(-1) === "claim bad") throw new RangeError("a stream name that the store cannot keep");
    return { kind: "owner", epoch: 1 };
  };
  for (const stream of ["bad", "good"]) registrar.add(claimOf(stream));
  for (let round = 0; round < 20; round++) {
    await turn();
    clock.advance(500);
  }
  assert.deepEqual(lines, ["stream not registered, trying on"]);
  await registrar.close();
});

test("releases a removed stream, after the claim that was under way", async () => {
  const { store, clock, registrar } = scene();
  const { promise, resolve } = Promise.withResolvers<ClaimResult>();
  store.answer = () => promise;
  registrar.add(claimOf("s"));
  await turn();
  const removed = registrar.remove(claimOf("s"));
  registrar.add(claimOf("s", "me again"));
  await turn();
  assert.deepEqual(store.take(), ["claim s"]);
  resolve({ kind: "owner", epoch: 1 });
  await removed;
  await turn();
  assert.deepEqual(store.take(), ["release s", "claim s"], "and claims it anew after that");
  await registrar.close();
  assert.deepEqual(store.take(), ["release s"]);
  assert.equal(clock.pendingTimers, 0);
});

test("releases everything once when it closes, however the store does", async () => {
  const { store, clock, registrar } = scene();
  for (const stream of ["a", "b", "c"]) registrar.add(claimOf(stream));
  await turn();
  store.take();
  store.answer = away;
  clock.advance(2_500);
  await turn();
  store.take();
  await Promise.all([registrar.close(), registrar.close()]);
  assert.deepEqual(store.take(), ["release a", "release b", "release c"]);
  registrar.add(claimOf("late"));
  await turn();
  assert.deepEqual(store.take(), []);
  assert.equal(clock.pendingTimers, 0);
});

test("claims ten thousand streams with a bounded number under way", async () => {
  const { store, clock, registrar } = scene();
  for (let index = 0; index < 10_000; index++) registrar.add(claimOf(`s${index}`));
  while (store.calls.length < 10_000) await turn();
  assert.ok(store.mostInFlight <= 256, String(store.mostInFlight));
  assert.equal(new Set(store.take()).size, 10_000);
  await registrar.close();
  assert.equal(clock.pendingTimers, 0);
});
