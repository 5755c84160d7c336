import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../test/support/seeded-random.ts";
import { joinAnnexB, splitAnnexB } from "../codecs/annex-b.ts";
import { h265NalType, serializeHvcConfig } from "../codecs/h265.ts";
import type { Codec } from "../codecs/codec.ts";
import { H264Depacketizer } from "./h264-depacketizer.ts";
import { H265Depacketizer } from "./h265-depacketizer.ts";
import type { Depacketizer, EmitFrame, RtpFrame } from "./depacketizer.ts";
import { PacketSlab } from "./packet-slab.ts";
import { createPacketizer, type Packetizer } from "./packetizer.ts";
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
