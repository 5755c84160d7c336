import assert from "node:assert/strict";
import { test } from "node:test";
import { viewerAddress } from "./viewer-address.ts";

const ask = (peer: string, headers: Record<string, string>, proxies: readonly string[] = ["10.0.0.0/8", "fd00::/8"]) =>
  viewerAddress(peer, (name) => headers[name], proxies);

test("what a request says about itself does not count, unless a trusted proxy hands it on", () => {
  const claims = { "x-real-ip": "192.0.2.9", "x-forwarded-for": "192.0.2.9", "x-forwarded-proto": "https" };
  assert.deepEqual(ask("198.51.100.1", claims), { address: "198.51.100.1" });
  assert.deepEqual(ask("10.1.2.3", claims, []), { address: "10.1.2.3" });
  assert.deepEqual(ask("10.1.2.3", claims), { address: "192.0.2.9", isTls: true });
  assert.deepEqual(ask("::ffff:10.1.2.3", claims), { address: "192.0.2.9", isTls: true });
});

test("of X-Forwarded-For the last address counts that is no proxy of ours", () => {
  const rows: [string, string][] = [
    ["192.0.2.9", "192.0.2.9"],
    ["1.1.1.1, 192.0.2.9", "192.0.2.9"],
    ["1.1.1.1, 192.0.2.9, 10.0.0.7", "192.0.2.9"],
    ["1.1.1.1, 192.0.2.9:4711, fd00::7", "192.0.2.9"],
    ["10.0.0.8,10.0.0.7", "10.0.0.8"],
    ["[2001:db8::1]:443", "2001:db8::1"],
    ["unknown", "10.0.0.1"],
    ["192.0.2.9, unknown", "10.0.0.1"],
    ["", "10.0.0.1"],
    [`${"1.1.1.1,".repeat(10_000)}192.0.2.9`, "192.0.2.9"],
  ];
  for (const [list, address] of rows) {
    assert.deepEqual(ask("10.0.0.1", { "x-forwarded-for": list }), { address }, list.slice(-60));
  }
});

test("X-Real-IP goes before X-Forwarded-For, when it is an address", () => {
  const both = (real: string) => ask("10.0.0.1", { "x-real-ip": real, "x-forwarded-for": "192.0.2.9" }).address;
  assert.equal(both("192.0.2.1"), "192.0.2.1");
  assert.equal(both("nobody"), "192.0.2.9");
});
