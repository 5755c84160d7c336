import assert from "node:assert/strict";
import { test } from "node:test";
import { isInRange, parseIp } from "./ip-range.ts";

test("reads every way to write an address", () => {
  const table: readonly [string, readonly number[] | undefined][] = [
    ["192.0.2.1", [192, 0, 2, 1]],
    ["::ffff:192.0.2.1", [192, 0, 2, 1]],
    ["::ffff:c000:201", [192, 0, 2, 1]],
    ["[2001:db8::1]", [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
    ["fe80::1%eth0", [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]],
    ["::", Array.from({ length: 16 }, () => 0)],
    ["1:2:3:4:5:6:7:8", [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8]],
    ["64:ff9b::192.0.2.1", [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1]],
    ["", undefined],
    ["192.0.2", undefined],
    ["192.0.2.256", undefined],
    ["0x7f.0.0.1", undefined],
    ["2130706433", undefined],
    ["1::2::3", undefined],
    ["1:2:3:4:5:6:7", undefined],
    ["1:2:3:4:5:6:7:8:9", undefined],
    ["::12345", undefined],
    ["1:2:3:4:5:6:7::8", undefined],
    ["::192.0.2", undefined],
  ];
  for (const [text, bytes] of table) assert.deepEqual(parseIp(text) && [...parseIp(text)!], bytes, text);
});

test("tells what lies in a range", () => {
  const table: readonly [string, string, boolean | undefined][] = [
    ["192.0.2.7", "192.0.2.0/24", true],
    ["192.0.3.7", "192.0.2.0/24", false],
    ["192.0.2.7", "192.0.2.7", true],
    ["192.0.2.8", "192.0.2.7/32", false],
    ["203.0.113.9", "0.0.0.0/0", true],
    ["192.0.2.129", "192.0.2.128/25", true],
    ["192.0.2.127", "192.0.2.128/25", false],
    ["::ffff:192.0.2.7", "192.0.2.0/24", true],
    ["192.0.2.7", "::ffff:192.0.2.0/120", true],
    ["2001:db8::5", "2001:db8::/32", true],
    ["2001:db9::5", "2001:db8::/32", false],
    ["2001:db8::5", "0.0.0.0/0", false],
    ["nonsense", "0.0.0.0/0", false],
    ["192.0.2.7", "192.0.2.0/33", undefined],
    ["192.0.2.7", "192.0.2.0/-1", undefined],
    ["192.0.2.7", "192.0.2.0/8/8", undefined],
    ["192.0.2.7", "", undefined],
  ];
  for (const [address, range, expected] of table) {
    assert.equal(isInRange(address, range), expected, `${address} in ${range}`);
  }
});
