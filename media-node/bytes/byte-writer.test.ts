import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";

const writes: [string, (writer: ByteWriter) => void, (reader: ByteReader) => void][] = [
  ["u8", (w) => w.u8(0xfe), (r) => assert.equal(r.u8(), 0xfe)],
  ["u16", (w) => w.u16(0xfedc), (r) => assert.equal(r.u16(), 0xfedc)],
  ["u24", (w) => w.u24(0xfedcba), (r) => assert.equal(r.u24(), 0xfedcba)],
  ["u32", (w) => w.u32(0xfedcba98), (r) => assert.equal(r.u32(), 0xfedcba98)],
  ["i32", (w) => w.i32(-2), (r) => assert.equal(r.i32(), -2)],
  ["u64", (w) => w.u64(2n ** 63n), (r) => assert.equal(r.u64(), 2n ** 63n)],
  ["i64", (w) => w.i64(-3n), (r) => assert.equal(r.i64(), -3n)],
  ["bytes", (w) => w.bytes(Uint8Array.of(7, 8)), (r) => assert.deepEqual([...r.take(2)], [7, 8])],
];

for (const [name, write, expect] of writes) {
  test(`${name} is kept when the buffer has to grow for it, at every fill level`, () => {
    for (let filled = 0; filled <= 8; filled++) {
      const writer = new ByteWriter(8);
      for (let i = 0; i < filled; i++) writer.u8(i);
      write(writer);
      const reader = new ByteReader(writer.finish(), () => new Error("truncated"));
      for (let i = 0; i < filled; i++) assert.equal(reader.u8(), i);
      expect(reader);
      assert.equal(reader.remaining, 0);
    }
  });
}
