import assert from "node:assert/strict";
import { test } from "node:test";
import type { RtpFrame } from "./depacketizer.ts";
import { H265Depacketizer } from "./h265-depacketizer.ts";

/** One picture a packet: its NAL unit type (ITU-T H.265 table 7-1) and first slice flag. */
function depacketize(types: readonly number[]): RtpFrame[] {
  const frames: RtpFrame[] = [];
  const depacketizer = new H265Depacketizer((frame) => frames.push(frame));
  types.forEach((type, index) => {
    const payload = Uint8Array.of(type << 1, 1, 0x80, index);
    depacketizer.push(
      { marker: true, payloadType: 96, sequence: index, timestamp: index * 3_600, ssrc: 1, payload },
      false,
    );
  });
  depacketizer.push(
    { marker: true, payloadType: 96, sequence: 9, timestamp: 90_000, ssrc: 1, payload: Uint8Array.of(2, 1, 0x80, 9) },
    false,
  );
  return frames;
}

test("random access points are key frames; pictures that refer to what came before them are leading", () => {
  const [trail, rasl, radl, bla, idr, cra] = [1, 8, 6, 16, 19, 21];
  const frames = depacketize([idr, trail, cra, rasl, rasl + 1, radl, trail, bla]);
  assert.deepEqual(
    frames.slice(0, 8).map(({ isKeyframe, isLeading = false }) => [isKeyframe, isLeading]),
    [
      [true, false],
      [false, false],
      [true, false],
      [false, true],
      [false, true],
      [false, false],
      [false, false],
      [true, false],
    ],
  );
});
