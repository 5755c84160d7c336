import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonLogger } from "./flow/logger.ts";
import { maskAddress, privateLogger } from "./private-logger.ts";

test("viewers' addresses are masked while the configuration asks for it, other fields never", () => {
  const lines: Record<string, unknown>[] = [];
  let isPrivate = true;
  const logger = privateLogger(
    jsonLogger((line) => lines.push(JSON.parse(line))),
    () => isPrivate,
  );
  const ofViewer = logger.with({ stream: "s", viewer: "192.0.2.7" });
  ofViewer.info("one", { url: "ovt://192.0.2.8:9000/a/s" });
  isPrivate = false;
  ofViewer.with({ more: 1 }).warn("two");
  logger.error("three");
  assert.deepEqual(
    lines.map(({ viewer, url, stream, more }) => [viewer, url, stream, more]),
    [
      ["192.0.2.x", "ovt://192.0.2.8:9000/a/s", "s", undefined],
      ["192.0.2.7", undefined, "s", 1],
      [undefined, undefined, undefined, undefined],
    ],
  );
});

test("what is left of an address is its network", () => {
  const rows: [string, string][] = [
    ["192.0.2.7", "192.0.2.x"],
    ["::ffff:192.0.2.7", "192.0.2.x"],
    ["2001:db8:1:2::7", "2001:db8:1:x"],
    ["2001:db8::7", "2001:db8:0:x"],
    ["::1", "0:0:0:x"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:x"],
    ["not an address", "x"],
  ];
  for (const [address, masked] of rows) assert.equal(maskAddress(address), masked);
});
