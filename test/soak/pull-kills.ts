// Origins are killed, frozen, taken away and brought back; viewers see it in no timestamp, and hardly in time.
import assert from "node:assert/strict";
import { loadavg } from "node:os";
import { runFreezes, runKills, runOutage, runReturns } from "../support/failover-runs.ts";

const kills = Number(process.argv[2] ?? 100);
const load = (): string => `load ${loadavg()[0]!.toFixed(1)}`;

const killed = await runKills(kills);
console.log(
  `pull-kills: ${killed.count} kills, gap at the viewer at most ${killed.worstMs.toFixed(0)} ms (median ${killed.medianMs.toFixed(0)}), ` +
    `${killed.missing} frames missing, ${killed.backward} timestamps backward, ${killed.tags} discontinuity tags, ${load()}`,
);
assert.ok(killed.worstMs <= 300 + killed.groupMs, "gap ≤ 300 ms + one group of pictures");
assert.deepEqual([killed.backward, killed.tags, killed.discontinuities], [0, 0, 0]);

const frozen = await runFreezes(Math.ceil(kills / 2));
console.log(
  `pull-freezes: ${frozen.count} freezes, switched at most ${frozen.worstMs.toFixed(0)} ms after a time-out of ${frozen.timeoutMs} ms, ` +
    `${frozen.missing} frames missing, ${frozen.backward} timestamps backward, ${load()}`,
);
assert.ok(frozen.worstMs <= frozen.timeoutMs + 500, "switch ≤ NoInputFailoverTimeout + 500 ms");
assert.equal(frozen.backward, 0);

const outage = await runOutage(Math.min(30_000, kills * 300), 50);
console.log(
  `pull-outage: one URL down for ${outage.downMs} ms, ${outage.resumed} of ${outage.viewers} viewers resumed within ` +
    `${outage.backMs.toFixed(0)} ms of its return, ${outage.connects} connects, ${load()}`,
);
assert.equal(outage.resumed, outage.viewers);

const returned = await runReturns(Math.max(1, Math.ceil(kills / 20)));
console.log(
  `pull-returns: ${returned.count} returns to the first URL, ${returned.missing} frames missing, longest wait ` +
    `${returned.worstMs.toFixed(0)} ms, ${returned.backward} timestamps backward, ${load()}`,
);
assert.deepEqual([returned.missing, returned.backward], [0, 0]);
