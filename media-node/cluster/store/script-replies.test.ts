import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreUnavailable } from "./contract.ts";
import { storeLimits } from "./keys.ts";
import { parseClaim, parseCount, parseSnapshot, parseUrls } from "./script-replies.ts";

test("reads a snapshot with numbers sent as numbers or as text", () => {
  const expected = { nowMs: 1_795_337_386_185, nodes: ["r1", "r2"], origins: ["ovt://a/x/y"] };
  assert.deepEqual(parseSnapshot([1_795_337_386_185, ["r1", "r2"], ["ovt://a/x/y"]]), expected);
  assert.deepEqual(parseSnapshot(["1795337386185", ["r1", "r2"], ["ovt://a/x/y"]]), expected);
});

test("reads what became of a claim", () => {
  assert.deepEqual(parseClaim(["owner", "17"]), { result: { kind: "owner", epoch: 17 }, epoch: 17 });
  assert.deepEqual(parseClaim(["standby", "ovt://b/x/y", 9]), {
    result: { kind: "standby", ownerUrl: "ovt://b/x/y" },
    epoch: 9,
  });
});

test("leaves single wrong entries out of a reply", () => {
  const long = "x".repeat(storeLimits.recordBytes + 1);
  const reply = [1, ["r", 5, null, long, {}, ""], ["ovt://a/x/y", ["ovt://b"], long]];
  assert.deepEqual(parseSnapshot(reply), { nowMs: 1, nodes: ["r"], origins: ["ovt://a/x/y"] });
});

test("bounds a reply in count and in bytes", () => {
  const record = "x".repeat(storeLimits.recordBytes);
  const snapshot = parseSnapshot([1, Array.from({ length: 10_000 }, () => record), []]);
  assert.equal(snapshot.nodes.length, storeLimits.snapshotBytes / storeLimits.recordBytes);
  assert.equal(parseSnapshot([1, Array.from({ length: 10_000 }, () => "r"), []]).nodes.length, storeLimits.nodes);
  assert.equal(parseUrls(Array.from({ length: 1_000 }, () => "ovt://a/x/y")).length, storeLimits.originsPerStream + 1);
});

test("calls a reply of the wrong shape a store that is not available", () => {
  const replies = [undefined, null, "OK", 1, {}, [], ["owner"], ["owner", -1], ["owner", "1e3"], ["standby"], [1, []]];
  for (const reply of replies) {
    assert.throws(() => parseClaim(reply), StoreUnavailable, JSON.stringify(reply));
    assert.throws(() => parseSnapshot(reply), StoreUnavailable, JSON.stringify(reply));
    if (!Array.isArray(reply)) assert.throws(() => parseUrls(reply), StoreUnavailable);
    if (reply !== 1) assert.throws(() => parseCount(reply), StoreUnavailable);
  }
  assert.throws(() => parseSnapshot([Number.NaN, [], []]), StoreUnavailable);
});
