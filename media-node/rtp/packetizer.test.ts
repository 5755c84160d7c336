import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../test/support/seeded-random.ts";
import { serializeLeb128 } from "../codecs/av1.ts";
import { joinAnnexB, splitAnnexB } from "../codecs/annex-b.ts";
import { h265NalType, serializeHvcConfig } from "../codecs/h265.ts";
import type { Codec } from "../codecs/codec.ts";
import { Av1Depacketizer } from "./av1-depacketizer.ts";
import { H264Depacketizer } from "./h264-depacketizer.ts";
import { H265Depacketizer } from "./h265-depacketizer.ts";
import type { Depacketizer, EmitFrame, RtpFrame } from "./depacketizer.ts";
import { PacketSlab } from "./packet-slab.ts";
import { createPacketizer, type Packetizer } from "./packetizer.ts";
import { Vp9Depacketizer } from "./vp9-depacketizer.ts";
import { parseRtpPacket, type RtpPacket } from "./rtp-packet.ts";

function packetize(packetizer: Packetizer, data: Uint8Array, timestamp = 9): RtpPacket[] {
  const slab = new PacketSlab(16);
  slab.begin(timestamp);
  packetizer.packetize(data, slab);
  return Array.from({ length: slab.count }, (_, i) =>
    parseRtpPacket(slab.slab.slice(slab.offsets[i], slab.offsets[i + 1])),
  );
}

function nal(header: readonly number[], length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => header[i] ?? (i % 200) + 1);
}

/** NAL unit headers of parameter sets and SEI, and of a slice that begins a picture. */
const units: [Codec, readonly (readonly number[])[], readonly number[], (emit: EmitFrame) => Depacketizer][] = [
  ["h264", [[0x06], [0x67], [0x68]], [0x41, 0x88], (emit) => new H264Depacketizer(emit)],
  [
    "h265",
    [
      [0x4e, 1],
      [0x40, 1],
      [0x42, 1],
      [0x44, 1],
    ],
    [0x02, 1, 0x88],
    (emit) => new H265Depacketizer(emit),
  ],
];

for (const [codec, headers, slice, open] of units) {
  test(`${codec}: 500 random access units come out of the depacketizer as they went in`, () => {
    const random = seededRandom(7);
    for (let round = 0; round < 500; round++) {
      const packetizer = createPacketizer(codec, { maxPacketBytes: 300 })!;
      const count = Math.floor(random() * 4);
      const leading = Array.from({ length: count }, () => headers[Math.floor(random() * headers.length)]!);
      const nals = [...leading, slice].map((header) => nal(header, 4 + Math.floor(random() * 900)));
      const frames: RtpFrame[] = [];
      const depacketizer = open((frame) => frames.push(frame));
      const data = joinAnnexB(nals);
      const packets = packetize(packetizer, data);
      // Depacketizers trust the marker only after the first unit.
      const next = packetize(packetizer, joinAnnexB([nal(slice, 9)]), 10);
      for (const packet of [...packets, ...next]) depacketizer.push(packet, false);
      assert.ok(packets.every(({ payload }) => payload.length + 12 <= 300));
      const sorted = (bytes: Uint8Array): string[] =>
        splitAnnexB(bytes)
          .map((unit) => Buffer.from(unit).toString("hex"))
          .sort();
      assert.deepEqual(sorted(frames[0]!.data), sorted(data), `round ${round}`);
    }
  });
}

test("h265: VPS, SPS and PPS come from hvcC before a picture that decoding can start at", () => {
  const sets = [nal([0x40, 1], 20), nal([0x42, 1], 30), nal([0x44, 1], 10)];
  const decoderConfig = serializeHvcConfig({
    profileTierLevel: new Uint8Array(12),
    minSpatialSegmentation: 0,
    parallelismType: 0,
    chromaFormat: 1,
    bitDepthLuma: 8,
    bitDepthChroma: 8,
    averageFrameRate: 0,
    layers: 0,
    lengthSize: 4,
    arrays: [h265NalType.vps, h265NalType.sps, h265NalType.pps].map((nalType, i) => ({
      nalType,
      isComplete: true,
      nals: [sets[i]!],
    })),
  });
  const packetizer = createPacketizer("h265", { maxPacketBytes: 1_200, decoderConfig })!;
  const cra = nal([0x2a, 1, 0x88], 3_000);
  const packets = packetize(packetizer, joinAnnexB([cra]));
  assert.equal(packets[0]!.payload[0]! >> 1, 48, "parameter sets travel in one aggregation packet");
  const frames: RtpFrame[] = [];
  const depacketizer = new H265Depacketizer((frame) => frames.push(frame));
  const inter = packetize(packetizer, joinAnnexB([nal([0x02, 1, 0x88], 50)]), 10);
  for (const packet of [...packets, ...inter]) depacketizer.push(packet, false);
  assert.deepEqual(splitAnnexB(frames[0]!.data), [...sets, cra]);
  assert.equal(inter.length, 1);
});

test("vp8: pieces fit, begin once, carry one picture id a frame and the marker on the last", () => {
  const packetizer = createPacketizer("vp8", { maxPacketBytes: 500 })!;
  const frame = nal([0x10], 2_000);
  for (const id of [0, 1]) {
    const packets = packetize(packetizer, frame);
    assert.deepEqual(
      packets.map(({ payload }) => payload[0]),
      [0x90, 0x80, 0x80, 0x80, 0x80],
    );
    assert.ok(packets.every(({ payload }) => payload[1] === 0x80 && payload[2] === 0x80 && payload[3] === id));
    assert.deepEqual(Buffer.concat(packets.map(({ payload }) => payload.subarray(4))), Buffer.from(frame));
    assert.deepEqual(
      packets.map(({ marker }) => marker),
      [false, false, false, false, true],
    );
    assert.ok(packets.every(({ payload }) => payload.length + 12 <= 500));
  }
});

/** Bytes of a VP9 key frame of profile 0, 640 × 360, and of a frame that refers to it. */
const vp9Key = [0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xf0, 0x16, 0x70];
const vp9Inter = [0x86, 0x00];

/** An OBU with its size, as the low overhead format has it. */
const obu = (type: number, payload: readonly number[], extension?: number): Uint8Array =>
  Uint8Array.from([
    (type << 3) | (extension === undefined ? 2 : 6),
    ...(extension === undefined ? [] : [extension]),
    ...serializeLeb128(payload.length),
    ...payload,
  ]);
const bytesFrom = (head: readonly number[], length: number): number[] =>
  Array.from({ length }, (_, i) => head[i] ?? (i % 200) + 1);
const sequenceHeader = obu(1, [0x00, 0x00, 0x00, 0x2c, 0xee, 0xef, 0xbf, 0xe1, 0xbd]);
const concat = (parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

/** What a unit of this kind and size is, and what has to come out of it. */
type MakeUnit = (isKeyframe: boolean, random: () => number) => { readonly sent: Uint8Array; readonly got: Uint8Array };
const openCodecs: readonly [Codec, MakeUnit, (emit: EmitFrame) => Depacketizer][] = [
  [
    "vp9",
    (isKeyframe, random) => {
      const sent = Uint8Array.from(bytesFrom(isKeyframe ? vp9Key : vp9Inter, 10 + Math.floor(random() * 2_000)));
      return { sent, got: sent };
    },
    (emit) => new Vp9Depacketizer(emit),
  ],
  [
    "av1",
    (isKeyframe, random) => {
      const frame = (): number[] => bytesFrom([isKeyframe ? 0x10 : 0x30], 1 + Math.floor(random() * 1_500));
      const kept = [
        ...(isKeyframe ? [sequenceHeader] : []),
        obu(5, bytesFrom([], Math.floor(random() * 20))),
        obu(6, frame(), random() < 0.5 ? 0x28 : undefined),
        ...Array.from({ length: Math.floor(random() * 6) }, () => obu(4, bytesFrom([], Math.floor(random() * 400)))),
      ];
      // Delimiters and padding stay behind.
      return { sent: concat([obu(2, []), ...kept, obu(15, [1, 2, 3])]), got: concat(kept) };
    },
    (emit) => new Av1Depacketizer(emit),
  ],
];

for (const [codec, make, open] of openCodecs) {
  test(`${codec}: 500 random pictures come out of the depacketizer as they went in, key frames known as such`, () => {
    const random = seededRandom(11);
    const packetizer = createPacketizer(codec, { maxPacketBytes: 300 })!;
    assert.equal(packetizer.clockRate, 90_000);
    const frames: RtpFrame[] = [];
    const depacketizer = open((frame) => frames.push(frame));
    for (let round = 0; round < 500; round++) {
      const isKeyframe = round % 10 === 0;
      const { sent, got } = make(isKeyframe, random);
      const packets = packetize(packetizer, sent, round);
      assert.ok(packets.every(({ payload }) => payload.length + 12 <= 300));
      assert.deepEqual(
        packets.map(({ marker }) => marker),
        packets.map((_, i) => i === packets.length - 1),
      );
      for (const packet of packets) depacketizer.push(packet, false);
      const frame = frames.pop();
      assert.ok(frame, `round ${round}`);
      assert.deepEqual([Buffer.from(frame.data), frame.isKeyframe], [Buffer.from(got), isKeyframe], `round ${round}`);
    }
    assert.equal(depacketizer.discarded, 0);
  });
}

test("vp9: a key frame tells its size, pieces say where they stand, every picture has the next id", () => {
  const packetizer = createPacketizer("vp9", { maxPacketBytes: 300 })!;
  const [first, ...more] = packetize(packetizer, Uint8Array.from(bytesFrom(vp9Key, 800)));
  assert.equal(Buffer.from(first!.payload.subarray(0, 11)).toString("hex"), "8a80001802800168010401");
  assert.deepEqual(
    more.map(({ payload }) => payload[0]),
    [0x80, 0x84],
  );
  const [inter] = packetize(packetizer, Uint8Array.from(bytesFrom(vp9Inter, 100)));
  assert.deepEqual([...inter!.payload.subarray(0, 3)], [0xcc, 0x80, 1]);
});

test("av1: small OBUs share a packet without sizes, a sequence begins with N, and every key frame has its header", () => {
  const packetizer = createPacketizer("av1", { maxPacketBytes: 1_200 })!;
  const bare = [0x08, ...sequenceHeader.subarray(2)];
  const key = [0x30, 0x10, 7];
  const [withHeader] = packetize(packetizer, concat([obu(2, []), sequenceHeader, obu(6, [0x10, 7])]));
  const expected = [0x28, bare.length, ...bare, ...key];
  assert.deepEqual([...withHeader!.payload], expected);
  const [without] = packetize(packetizer, obu(6, [0x10, 7]));
  assert.deepEqual([...without!.payload], expected, "an earlier header stands in");
  const [inter] = packetize(packetizer, obu(6, [0x30, 7]));
  assert.deepEqual([...inter!.payload], [0x10, 0x30, 0x30, 7]);
  assert.deepEqual(packetize(packetizer, obu(2, [])), []);
  assert.deepEqual(packetize(packetizer, Uint8Array.of(0x30, 1, 2)), [], "an OBU without a size cannot be cut");
});

for (const [codec, clockRate] of [
  ["opus", 48_000],
  ["pcmu", 8_000],
  ["pcma", 8_000],
] as const) {
  test(`${codec}: one sample is one packet without a marker`, () => {
    const packetizer = createPacketizer(codec, { maxPacketBytes: 1_200 })!;
    assert.equal(packetizer.clockRate, clockRate);
    const [packet, ...more] = packetize(packetizer, Uint8Array.of(1, 2, 3));
    assert.deepEqual(more, []);
    assert.equal(packet!.marker, false);
    assert.deepEqual([...packet!.payload], [1, 2, 3]);
    assert.deepEqual(packetize(packetizer, new Uint8Array(0)), []);
    assert.deepEqual(packetize(packetizer, new Uint8Array(1_401)), []);
  });
}

test("codecs without a payload format have no packetizer", () => {
  assert.equal(createPacketizer("aac", { maxPacketBytes: 1_200 }), undefined);
});
