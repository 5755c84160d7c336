import assert from "node:assert/strict";
import { test } from "node:test";
import type { RtpFrame } from "./depacketizer.ts";
import { Vp9Depacketizer } from "./vp9-depacketizer.ts";

/** A key frame of 640 × 360, profile 0 (VP9 bitstream specification §6.2), and any other frame. */
const key = [0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xf0, 0x16, 0x70];
const inter = [0x86, 0x01];

interface Sent {
  readonly payload: readonly number[];
  readonly timestamp?: number;
  readonly marker?: boolean;
  readonly isAfterLoss?: boolean;
}

function depacketize(sent: readonly Sent[]): { frames: RtpFrame[]; discarded: number } {
  const frames: RtpFrame[] = [];
  const depacketizer = new Vp9Depacketizer((frame) => frames.push(frame));
  for (const { payload, timestamp = 0, marker = false, isAfterLoss = false } of sent) {
    const packet = { marker, payloadType: 98, sequence: 0, timestamp, ssrc: 1, payload: Uint8Array.from(payload) };
    depacketizer.push(packet, isAfterLoss);
  }
  return { frames, discarded: depacketizer.discarded };
}

const dataOf = ({ frames }: { frames: RtpFrame[] }): number[][] => frames.map(({ data }) => [...data]);

/** Every shape of descriptor in front of a whole frame: all of it must be skipped, and nothing more. */
const descriptors: [name: string, bytes: readonly number[]][] = [
  ["nothing", [0x0c]],
  ["7-bit picture id", [0x8c, 0x11]],
  ["15-bit picture id", [0x8c, 0x91, 0x22]],
  ["layer indices and TL0PICIDX", [0xac, 0x91, 0x22, 0x00, 0x05]],
  ["layer indices, flexible", [0xbc, 0x91, 0x22, 0x00]],
  ["one reference", [0xdc, 0x11, 0x02]],
  ["three references", [0xdc, 0x11, 0x03, 0x05, 0x06]],
  ["scalability structure with sizes", [0x0e, 0x30, 0x02, 0x80, 0x01, 0x68, 0x01, 0x40, 0x00, 0xb4]],
  ["scalability structure with a picture group", [0x0e, 0x08, 0x02, 0x04, 0x01, 0x28, 0x01, 0x02]],
];
for (const [name, descriptor] of descriptors) {
  test(`descriptor with ${name}`, () => {
    const { frames, discarded } = depacketize([{ payload: [...descriptor, ...key], marker: true }]);
    assert.deepEqual([frames.map(({ data, isKeyframe }) => [[...data], isKeyframe]), discarded], [[[key, true]], 0]);
    for (let length = 0; length < descriptor.length; length++) {
      assert.deepEqual(depacketize([{ payload: descriptor.slice(0, length), marker: true }]).frames, []);
    }
  });
}

test("four references are more than there may be", () => {
  assert.deepEqual(depacketize([{ payload: [0xdc, 0x11, 3, 5, 7, ...key], marker: true }]), {
    frames: [],
    discarded: 1,
  });
});

test("a frame in pieces ends at the marker, or where the next picture begins", () => {
  for (const marker of [true, false]) {
    const result = depacketize([
      { payload: [0x08, ...key.slice(0, 4)] },
      { payload: [0x00, ...key.slice(4, 6)] },
      { payload: [0x04, ...key.slice(6)], marker },
      { payload: [0x4c, ...inter], timestamp: 3_600, marker: true },
    ]);
    assert.deepEqual(dataOf(result), [key, inter]);
    assert.deepEqual(
      result.frames.map(({ isKeyframe, timestamp }) => [isKeyframe, timestamp]),
      [
        [true, 0],
        [false, 3_600],
      ],
    );
  }
});

test("the frames of all spatial layers are one picture", () => {
  const result = depacketize([{ payload: [0x0c, ...key] }, { payload: [0x4c, ...inter], marker: true }]);
  assert.deepEqual(dataOf(result), [[...key, ...inter]]);
});

test("a picture that misses its beginning, middle or end is thrown away whole, and the next says so", () => {
  const pieces: Sent[] = [
    { payload: [0x08, ...key.slice(0, 4)] },
    { payload: [0x00, ...key.slice(4, 6)] },
    { payload: [0x04, ...key.slice(6)], marker: true },
  ];
  const next: Sent = { payload: [0x4c, ...inter], timestamp: 3_600, marker: true };
  for (let missing = 0; missing < 3; missing++) {
    const rest = [...pieces, next].flatMap((sent, index) => {
      if (index === missing) return [];
      return [{ ...sent, isAfterLoss: index === missing + 1 }];
    });
    const { frames, discarded } = depacketize(rest);
    assert.deepEqual(dataOf({ frames }), [inter], `without piece ${missing}`);
    assert.ok(frames[0]!.isAfterLoss && discarded >= 1);
  }
});
