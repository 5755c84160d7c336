import assert from "node:assert/strict";
import { test } from "node:test";
import { maxFlvMs, serializeFlvFrame, serializeFlvStart } from "./flv-sound.ts";

test("a file begins with its header and the configuration", () => {
  assert.equal(
    Buffer.from(serializeFlvStart(Uint8Array.of(0x11, 0x90))).toString("hex"),
    ["464c56010400000009", "00000000", "0800000400000000000000", "af001190", "0000000f"].join(""),
  );
});

test("a frame carries its time in 24 bits and 8 above them", () => {
  const hex = (timeMs: number): string =>
    Buffer.from(serializeFlvFrame(timeMs, Uint8Array.of(1, 2, 3))).toString("hex");
  assert.equal(hex(0x010203), ["08000005", "01020300", "000000", "af01010203", "00000010"].join(""));
  assert.equal(hex(maxFlvMs).slice(8, 16), "ffffff7f");
});
