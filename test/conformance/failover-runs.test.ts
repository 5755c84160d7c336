// A short run of the soaks pull-kills and random-names.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { runFreezes, runKills, runOutage, runReturns } from "../support/failover-runs.ts";
import { askForNobody } from "../support/random-names.ts";

describe("a viewer's stream", { concurrency: 2 }, () => {
  test("kills of the source in use cost no frame and no timestamp", { timeout: 60_000 }, async () => {
    const { count, missing, backward, discontinuities, tags } = await runKills(4);
    assert.deepEqual(
      { count, missing, backward, discontinuities, tags },
      { count: 4, missing: 0, backward: 0, discontinuities: 0, tags: 0 },
    );
  });

  test("freezes of the source in use cost no frame and no timestamp", { timeout: 60_000 }, async () => {
    const { count, missing, backward, discontinuities } = await runFreezes(2, 800);
    assert.deepEqual([count, missing, backward, discontinuities], [2, 0, 0, 0]);
  });

  test("every viewer resumes after an outage", { timeout: 60_000 }, async () => {
    const { viewers, resumed } = await runOutage(1_500, 20);
    assert.equal(resumed, viewers);
  });

  test("the return to the first URL costs no frame", { timeout: 60_000 }, async () => {
    const { missing, backward, discontinuities } = await runReturns(1);
    assert.deepEqual([missing, backward, discontinuities], [0, 0, 0]);
  });
});

test(
  "names that nobody has hardly become connects, and nobody who watches is refused",
  { timeout: 60_000 },
  async () => {
    const { sent, total, viewer, answers } = await askForNobody({ seconds: 4, perSecond: 500, clients: 50 });
    assert.ok(sent >= 1_000, `${sent} sent`);
    assert.ok(
      total.connects <= 50 * (total.seconds + 1),
      `${total.connects} connects in ${total.seconds.toFixed(1)} s`,
    );
    assert.equal(viewer.failed, 0);
    assert.ok((answers["404"] ?? 0) > 0);
    assert.equal(answers["200"], undefined);
  },
);
