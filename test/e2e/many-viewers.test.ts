// A smaller house than `npm run soak -- viewers-move` and `npm run soak -- store-away`, the same trials.
import { test } from "node:test";
import { herd, killOneOfThree, storeAway } from "../support/cluster-trials.ts";

test("an edge of three dies: 95 % of its viewers play again within 5 s, all within its lease and 5 s", async (t) => {
  t.diagnostic(await killOneOfThree(45));
});

test("the store goes and comes back empty: nobody is lost, who comes is routed, nobody storms", async (t) => {
  t.diagnostic(await storeAway(12, 12_000));
});

test("hundreds join one stream that no edge has: each edge pulls it once, and the load is even", async (t) => {
  t.diagnostic(await herd(400, 4));
});
