import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "./until.ts";

test("what is waited for is given as soon as it is there, whatever was thrown before", async () => {
  let asked = 0;
  const answer = await until("the third answer", 5_000, () => {
    if (++asked < 3) throw new Error("not yet");
    return asked;
  });
  assert.equal(answer, 3);
});

test("who waits in vain is told the last answer, or the assertion that failed last and its cause", async () => {
  const failed = (probe: () => unknown): Promise<Error> =>
    until("it", 0, probe).then(
      () => assert.fail("it came"),
      (thrown: unknown) => thrown as Error,
    );
  assert.equal((await failed(() => 0)).message, "it: not within 0 ms; last: 0");
  assert.equal((await failed(() => undefined)).message, "it: not within 0 ms; last: undefined");
  const assertion = await failed(() => assert.equal(3, 4, "three parts"));
  assert.match(assertion.message, /last: three parts/);
  assert.ok(assertion.cause instanceof assert.AssertionError && assertion.cause.actual === 3);
  const refused = await failed(() => {
    throw new Error("fetch failed", { cause: new Error("ECONNREFUSED") });
  });
  assert.match(refused.message, /last: fetch failed \(ECONNREFUSED\)$/);
});
