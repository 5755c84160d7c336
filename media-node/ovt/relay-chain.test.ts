import assert from "node:assert/strict";
import { test } from "node:test";
import { runChain } from "../../test/support/ovt-chain.ts";

test("a three-hop chain loses, repeats, reorders and retimes nothing, and keeps the origin's identity", async () => {
  const { samples } = await runChain(20_000, 3);
  assert.equal(samples, 20_000);
});
