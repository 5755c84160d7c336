import assert from "node:assert/strict";
import { test } from "node:test";
import { runChain } from "../../test/support/ovt-chain.ts";

test("a three-hop chain keeps cues, loses, repeats, reorders and retimes nothing, and keeps the origin's identity", async () => {
  const { samples, cues } = await runChain(20_000, 3);
  assert.deepEqual([samples, cues], [20_000, 400]);
});
