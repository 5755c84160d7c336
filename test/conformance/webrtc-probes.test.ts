// What `npm run soak -- webrtc-probes` does at full size, smaller: every probe against a hundred live viewers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runProbes } from "../support/webrtc-probes.ts";

test("no probe of an outsider hurts a session, is answered with more than it was, or leaves anything behind", async () => {
  const outcomes = await runProbes({ packets: 1_000, viewers: 100, ports: 100 });
  assert.equal(outcomes.length, 24);
  for (const { name, hurt, ratio, kept } of outcomes) {
    assert.deepEqual([hurt, kept], [0, 0], name);
    assert.ok(ratio <= 1, `${name}: ${ratio}`);
  }
});
