import assert from "node:assert/strict";
import { test } from "node:test";
import { AacDepacketizer, type AacPayloadFormat } from "./aac-depacketizer.ts";
import type { RtpFrame } from "./depacketizer.ts";

const highBitrate: AacPayloadFormat = {
  sizeLength: 13,
  indexLength: 3,
  indexDeltaLength: 3,
  ctsDeltaLength: 0,
  dtsDeltaLength: 0,
  hasRandomAccessFlag: false,
  streamStateLength: 0,
  auxiliarySizeLength: 0,
  constantSize: 0,
  frameTicks: 1_024,
};

function collect(format = highBitrate) {
  const frames: RtpFrame[] = [];
  const depacketizer = new AacDepacketizer(format, (frame) => frames.push(frame));
  const push = (timestamp: number, payload: number[], marker = true, isAfterLoss = false): void =>
    depacketizer.push(
      { marker, payloadType: 97, sequence: 0, timestamp, ssrc: 1, payload: Uint8Array.from(payload) },
      isAfterLoss,
    );
  const shown = () => frames.map(({ timestamp, data, isAfterLoss }) => [timestamp, [...data], isAfterLoss]);
  return { depacketizer, push, shown };
}

/** AU headers of 13 bits size and 3 bits index, then `data`. */
const units = (sizes: number[], data: number[]): number[] => [
  (sizes.length * 16) >> 8,
  (sizes.length * 16) & 0xff,
  ...sizes.flatMap((size) => [size >> 5, (size & 31) << 3]),
  ...data,
];

test("takes several units out of one packet, each a frame later than the one before", () => {
  const { push, shown } = collect();
  push(0xffffff00, units([2, 1, 3], [1, 2, 3, 4, 5, 6]));
  assert.deepEqual(shown(), [
    [0xffffff00, [1, 2], false],
    [0x300, [3], false],
    [0x700, [4, 5, 6], false],
  ]);
});

test("puts a unit together that was cut into several packets", () => {
  const { push, shown } = collect();
  push(5, units([4], [1, 2]), false);
  push(5, units([4], [3, 4]), true);
  assert.deepEqual(shown(), [[5, [1, 2, 3, 4], false]]);
});

test("throws away a unit that misses a fragment, and says so on the next", () => {
  const { depacketizer, push, shown } = collect();
  push(5, units([6], [1, 2]), false);
  push(5, units([6], [5, 6]), true, true);
  push(6, units([1], [9]));
  assert.deepEqual(shown(), [[6, [9], true]]);
  assert.ok(depacketizer.discarded >= 1);
});

test("reads low bitrate headers of one byte", () => {
  const { push, shown } = collect({ ...highBitrate, sizeLength: 6, indexLength: 2, indexDeltaLength: 2 });
  push(5, [0, 16, 2 << 2, 1 << 2, 7, 8, 9]);
  assert.deepEqual(shown(), [
    [5, [7, 8], false],
    [1_029, [9], false],
  ]);
});

test("takes off ADTS headers that cameras leave in front of units", () => {
  const { push, shown } = collect();
  const adts = [0xff, 0xf1, 0x4c, 0x80, 0x01, 0x20, 0xfc, 7, 8];
  push(5, units([9], adts));
  assert.deepEqual(shown(), [[5, [7, 8], false]]);
});

test("never gives out more than a packet held, however it is cut", () => {
  const packet = units([2, 1, 3], [1, 2, 3, 4, 5, 6]);
  for (let length = 0; length <= packet.length; length++) {
    const { push, shown } = collect();
    push(1, packet.slice(0, length));
    const bytes = shown().reduce((sum, [, data]) => sum + (data as number[]).length, 0);
    assert.ok(bytes <= Math.max(0, length - 8), `${length}`);
  }
});

test("where later headers have no bits, a packet holds one unit", () => {
  const format = { ...highBitrate, sizeLength: 0, indexDeltaLength: 0, constantSize: 2 };
  const { push, shown } = collect(format);
  push(5, [0, 3, 0, 1, 2]);
  assert.deepEqual(shown(), [[5, [1, 2], false]]);
});
