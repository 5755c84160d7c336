import assert from "node:assert/strict";
import { test } from "node:test";
import { settle } from "../../test/support/fake-source.ts";
import { ManualClock } from "../time/manual-clock.ts";
import { PullBudget, type PullLeave, type PullLimits, type PullRefusal } from "./pull-budget.ts";

const limits: PullLimits = {
  opening: 4,
  openingPerClient: 2,
  burst: 3,
  perSecond: 10,
  clientBurst: 2,
  clientPerSecond: 1,
  waiting: 5,
  waitMs: 1_000,
};

function world(over: Partial<PullLimits> = {}) {
  const clock = new ManualClock();
  const budget = new PullBudget(clock, { ...limits, ...over });
  const answers: (PullLeave | PullRefusal)[] = [];
  const ask = async (client: string | undefined, connects = 1): Promise<void> => {
    void budget.enter(connects, client).then((answer) => answers.push(answer));
    await settle();
  };
  const leaves = (): PullLeave[] => answers.flatMap((answer) => ("settle" in answer ? [answer] : []));
  const refused = (): string[] => answers.flatMap((answer) => ("refused" in answer ? [answer.refused] : []));
  return { clock, budget, ask, leaves, refused };
}

test("what is found costs nothing, however many there are", async () => {
  const { ask, leaves, refused } = world();
  for (let stream = 0; stream < 500; stream++) {
    await ask("viewer");
    leaves().at(-1)!.settle(true);
  }
  assert.equal(leaves().length, 500);
  assert.deepEqual(refused(), []);
});

test("what is not found is paid for by who asked, and others are not refused for it", async () => {
  const { clock, ask, leaves, refused } = world();
  for (let round = 0; round < 5; round++) {
    await ask("attacker");
    leaves().at(-1)!.settle(false);
  }
  assert.equal(leaves().length, 2);
  assert.deepEqual(refused(), ["client", "client", "client"]);
  await ask("viewer");
  assert.equal(leaves().length, 3);
  leaves().at(-1)!.settle(true);
  clock.advance(1_000);
  await ask("attacker");
  assert.equal(leaves().length, 4);
});

test("connects are limited at the same time, and who is too many waits for a turn instead of being refused", async () => {
  const { ask, leaves, refused, clock, budget } = world();
  for (const client of ["a", "b", "c", "d", "e", "f"]) await ask(client);
  assert.equal(leaves().length, 4);
  leaves()[0]!.settle(true);
  await settle();
  assert.equal(leaves().length, 5);
  clock.advance(1_001);
  await settle();
  assert.deepEqual(refused(), ["busy"], "nobody waits longer than a second");
  budget.close();
  assert.equal(clock.pendingTimers, 0);
});

test("one client cannot fill the queue", async () => {
  const { ask, refused } = world();
  for (let name = 0; name < 10; name++) await ask("attacker");
  assert.equal(refused().filter((reason) => reason === "client").length, 8);
});

test("what fails is limited in a second, whatever burst it comes in", async () => {
  const { clock, ask, leaves } = world({ waiting: 1_000, waitMs: 100_000 });
  for (let name = 0; name < 300; name++) await ask(`client ${name}`);
  let settled = 0;
  const at: number[] = [];
  for (let ms = 0; ms < 10_000; ms += 10) {
    for (; settled < leaves().length; settled++) {
      at.push(ms);
      leaves()[settled]!.settle(false);
      await settle();
    }
    clock.advance(10);
    await settle();
  }
  const mostInASecond = Math.max(...at.map((from) => at.filter((ms) => ms >= from && ms < from + 1_000).length));
  assert.ok(mostInASecond <= limits.burst + limits.perSecond + limits.opening, `${mostInASecond} in a second`);
  assert.ok(settled >= 90 && settled <= 110, `${settled} in 10 s`);
});

test("streams that are known to exist go before names that may be nonsense", async () => {
  const { ask, leaves, budget } = world();
  for (let name = 0; name < 4; name++) await ask(`attacker ${name}`);
  for (const leave of leaves()) leave.settle(false);
  for (let name = 0; name < 5; name++) await ask(`attacker ${name}`);
  assert.equal(leaves().length, 4, "nothing is left, and the queue is full");
  const answer = await budget.enter(1, "viewer", true);
  assert.ok("settle" in answer);
  answer.settle(true);
  budget.close();
});

test("a client that has names looked up that nobody has is spent after a while, and recovers", () => {
  const { clock, budget } = world();
  for (let name = 0; name < limits.clientBurst; name++) {
    assert.equal(budget.isSpent("attacker"), false);
    budget.charge("attacker");
  }
  assert.equal(budget.isSpent("attacker"), true);
  assert.equal(budget.isSpent("viewer"), false);
  clock.advance(1_000);
  assert.equal(budget.isSpent("attacker"), false);
});

test("clients are remembered up to a number", async () => {
  const { budget } = world();
  for (let client = 0; client < 12_000; client++) {
    const answer = await budget.enter(1, `client ${client}`);
    if ("settle" in answer) answer.settle(true);
  }
  assert.ok(budget.clientCount <= 10_000);
});

test("a client is an IPv4 address or an IPv6 network", async () => {
  const rows: readonly (readonly [string, number])[] = [
    ["2001:db8:1:2:3:4:5:6", 1],
    ["2001:db8:1:2::9", 1],
    ["2001:db8:1:3::9", 2],
    ["10.0.0.1", 3],
    ["::ffff:10.0.0.1", 3],
    ["::1", 4],
  ];
  const { budget } = world();
  for (const [address, clients] of rows) {
    const answer = await budget.enter(1, address);
    assert.ok("settle" in answer);
    answer.settle(true);
    assert.equal(budget.clientCount, clients, address);
  }
});
