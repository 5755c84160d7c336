import assert from "node:assert/strict";
import { test } from "node:test";
import { within } from "./within.ts";

test("what comes in time is passed on, what fails is nothing", async () => {
  assert.equal(await within(10_000, Promise.resolve(1), () => assert.fail()), 1);
  assert.equal(await within(10_000, Promise.reject(new Error("refused")), () => assert.fail()), undefined);
});

test("what comes too late is discarded, not lost", async () => {
  const { promise, resolve } = Promise.withResolvers<string>();
  const discarded: string[] = [];
  assert.equal(await within(0, promise, (late) => void discarded.push(late)), undefined);
  resolve("late");
  await promise;
  assert.deepEqual(discarded, ["late"]);
});
