// The soak `npm run soak -- churn`, shortened.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";

test("an edge gives back what its viewers and streams took", { timeout: 120_000 }, (t) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ["test/soak/churn.ts", "12", "4"], {
    encoding: "utf8",
  });
  t.diagnostic(stdout.trim());
  assert.equal(status, 0, stderr);
});
