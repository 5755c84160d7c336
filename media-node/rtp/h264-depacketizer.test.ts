import assert from "node:assert/strict";
import { test } from "node:test";
import type { RtpFrame } from "./depacketizer.ts";
import { H264Depacketizer } from "./h264-depacketizer.ts";

const sps = [0x67, 66, 0, 30, 1];
const pps = [0x68, 1, 2];
/** First slices begin with a set bit (first_mb_in_slice = 0), later ones do not. */
const idr = [0x65, 0x88, 1, 2, 3];
const idrRest = [0x65, 0x40, 4];
const slice = [0x41, 0x9a, 5];
const sliceRest = [0x41, 0x40, 6];

function collect() {
  const frames: RtpFrame[] = [];
  const depacketizer = new H264Depacketizer((frame) => frames.push(frame));
  const push = (timestamp: number, payload: number[], marker = false, isAfterLoss = false): void =>
    depacketizer.push(
      { marker, payloadType: 96, sequence: 0, timestamp, ssrc: 1, payload: Uint8Array.from(payload) },
      isAfterLoss,
    );
  /** Proves that markers end frames, which takes one frame. */
  const prove = (): void => {
    push(1, idr, true);
    push(2, slice, true);
    frames.length = 0;
  };
  return { frames, depacketizer, push, prove };
}

const annexB = (...nals: number[][]): number[] => nals.flatMap((nal) => [0, 0, 0, 1, ...nal]);
const shown = ({ timestamp, data, isKeyframe, isAfterLoss }: RtpFrame) => ({
  timestamp,
  data: [...data],
  isKeyframe,
  isAfterLoss,
});

test("ends a frame at its marker, once one frame has shown that markers can be trusted", () => {
  const { frames, push } = collect();
  push(10, idr, true);
  assert.equal(frames.length, 0);
  push(20, slice, true);
  assert.deepEqual(frames.map(shown), [
    { timestamp: 10, data: annexB(idr), isKeyframe: true, isAfterLoss: false },
    { timestamp: 20, data: annexB(slice), isKeyframe: false, isAfterLoss: false },
  ]);
});

test("ends frames at a new timestamp where markers are never set", () => {
  const { frames, push } = collect();
  for (const timestamp of [10, 20, 30]) push(timestamp, slice);
  assert.deepEqual(
    frames.map((frame) => frame.timestamp),
    [10, 20],
  );
});

test("does not trust markers that stand on every slice", () => {
  const { frames, push } = collect();
  push(10, idr, true);
  push(10, idrRest, true);
  push(20, slice, true);
  push(20, sliceRest, true);
  push(30, slice, true);
  assert.deepEqual(
    frames.map((frame) => [...frame.data]),
    [annexB(idr, idrRest), annexB(slice, sliceRest)],
  );
});

test("keeps parameter sets that come with a marker or a timestamp of their own for the picture after them", () => {
  const { frames, push } = collect();
  push(5, sps, true);
  push(6, pps, true);
  push(10, idr, true);
  push(20, slice, true);
  assert.deepEqual([...frames[0]!.data], annexB(sps, pps, idr));
  assert.deepEqual(
    frames[0]!.parameterSets?.map((nal) => [...nal]),
    [sps, pps],
  );
});

test("drops parameter sets repeated before every slice, and keeps those behind the last for the next picture", () => {
  const { frames, push } = collect();
  for (const nal of [sps, pps, idr, sps, pps, idrRest, sps, pps]) push(10, nal);
  push(20, idr);
  push(30, slice);
  assert.deepEqual(
    frames.map((frame) => [...frame.data]),
    [annexB(sps, pps, idr, idrRest), annexB(sps, pps, idr)],
  );
});

test("takes aggregates apart and puts fragments together", () => {
  const { frames, push, prove } = collect();
  prove();
  push(30, [24, 0, sps.length, ...sps, 0, pps.length, ...pps]);
  push(30, [0x7c, 0x85, ...idr.slice(1, 3)]);
  push(30, [0x7c, 0x05, ...idr.slice(3, 4)]);
  push(30, [0x7c, 0x45, ...idr.slice(4)], true);
  assert.deepEqual(frames.map(shown), [
    { timestamp: 30, data: annexB(sps, pps, idr), isKeyframe: true, isAfterLoss: false },
  ]);
});

test("ends a fragmented unit at the marker where the end bit is never set", () => {
  const { frames, push, prove } = collect();
  prove();
  push(30, [0x7c, 0x85, ...idr.slice(1, 3)]);
  push(30, [0x7c, 0x05, ...idr.slice(3)], true);
  assert.deepEqual([...frames[0]!.data], annexB(idr));
});

test("takes byte streams with start codes as payload", () => {
  const { frames, push, prove } = collect();
  prove();
  push(30, annexB(sps, pps, idr), true);
  assert.deepEqual([...frames[0]!.data], annexB(sps, pps, idr));
});

test("throws away a frame that misses its head, its middle or its tail, and says so on the next whole one", () => {
  const losses: [name: string, lose: (push: ReturnType<typeof collect>["push"]) => void][] = [
    ["head", (push) => push(30, [0x5c, 0x01, 9], true, true)],
    ["first slice", (push) => push(30, sliceRest, true, true)],
    [
      "middle",
      (push) => {
        push(30, [0x5c, 0x81, 0x9a, 1]);
        push(30, [0x5c, 0x41, 2], true, true);
      },
    ],
    ["tail", (push) => push(30, [0x5c, 0x81, 0x9a, 1])],
  ];
  for (const [name, lose] of losses) {
    const { frames, depacketizer, push, prove } = collect();
    prove();
    lose(push);
    push(40, slice, true, name === "tail");
    assert.deepEqual(
      frames.map(shown),
      [{ timestamp: 40, data: annexB(slice), isKeyframe: false, isAfterLoss: true }],
      name,
    );
    assert.equal(depacketizer.discarded, 1, name);
  }
});

test("marks a whole frame after lost whole frames", () => {
  const { frames, push, prove } = collect();
  prove();
  push(40, idr, true, true);
  push(50, slice, true);
  assert.deepEqual(
    frames.map((frame) => frame.isAfterLoss),
    [true, false],
  );
});

test("survives every cut of every kind of payload", () => {
  const payloads = [
    idr,
    [24, 0, 5, ...sps, 0, 3, ...pps],
    [0x7c, 0x85, 1, 2],
    [0x7c, 0x45, 3],
    annexB(sps, idr),
    [31, 1],
  ];
  for (const payload of payloads) {
    for (let length = 0; length <= payload.length; length++) {
      const { frames, push } = collect();
      push(1, payload.slice(0, length), true);
      push(2, slice, true);
      push(3, slice, true);
      for (const frame of frames) assert.ok(frame.data.length <= payload.length + 16);
    }
  }
});

test("holds no more of an endless frame than a frame may have", () => {
  const { depacketizer, push } = collect();
  push(1, [0x7c, 0x85, 0x88, ...Buffer.alloc(1_000, 7)]);
  for (let i = 0; i < 40_000; i++) push(1, [0x7c, 0x05, 1]);
  assert.equal(depacketizer.discarded, 1);
});
