import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRtpPacket } from "./rtp-packet.ts";
import { serializePlayoutDelay } from "./playout-delay.ts";

const hex = (id: number, minMs: number, maxMs: number): string =>
  Buffer.from(serializePlayoutDelay(id, { minMs, maxMs })).toString("hex");

test("both limits stand in units of 10 ms, behind the number both sides agreed on", () => {
  assert.equal(hex(2, 0, 0), "bede000122000000");
  assert.equal(hex(14, 100, 2_000), "bede0001e200a0c8");
  assert.equal(hex(5, 40_950, 99_999), "bede000152ffffff", "never more than 12 bits");
});

test("numbers above 14 take the two-byte form", () => {
  assert.equal(hex(16, 100, 2_000), "10000002100300a0c8000000");
});

test("a packet with it is parsed as before", () => {
  for (const id of [1, 14, 16, 255]) {
    const header = [0x90, 0x60, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    const packet = Uint8Array.from([...header, ...serializePlayoutDelay(id, { minMs: 10, maxMs: 20 }), 9, 8, 7]);
    assert.deepEqual([...parseRtpPacket(packet).payload], [9, 8, 7]);
  }
});
