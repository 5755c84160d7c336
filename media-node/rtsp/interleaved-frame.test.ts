import assert from "node:assert/strict";
import { test } from "node:test";
import { ProtocolError } from "../flow/errors.ts";
import { parseInterleavedFrame, serializeInterleavedFrame } from "./interleaved-frame.ts";

test("a frame is read as it was written, and nothing shorter or longer is one", () => {
  for (const length of [0, 1, 255, 256, 65_535]) {
    const frame = { channel: 3, payload: new Uint8Array(length).fill(7) };
    const bytes = serializeInterleavedFrame(frame);
    assert.deepEqual(parseInterleavedFrame(bytes), frame);
    for (const cut of [0, 1, 2, 3, 4, length + 3]) {
      if (cut < bytes.length) assert.throws(() => parseInterleavedFrame(bytes.subarray(0, cut)), ProtocolError);
    }
    assert.throws(() => parseInterleavedFrame(Uint8Array.from([...bytes, 0])), ProtocolError);
  }
  assert.throws(() => serializeInterleavedFrame({ channel: 0, payload: new Uint8Array(65_536) }), ProtocolError);
});
