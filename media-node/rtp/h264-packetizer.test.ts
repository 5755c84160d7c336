import assert from "node:assert/strict";
import { test } from "node:test";
import { joinAnnexB } from "../codecs/annex-b.ts";
import { avcConfigOf, serializeAvcConfig } from "../codecs/h264.ts";
import { H264Packetizer } from "./h264-packetizer.ts";
import { PacketSlab } from "./packet-slab.ts";
import { parseRtpPacket, type RtpPacket } from "./rtp-packet.ts";

const sps = Uint8Array.of(0x67, 0x42, 0xe0, 0x1f, 0x8c);
const pps = Uint8Array.of(0x68, 0xce, 0x3c);
const aud = Uint8Array.of(0x09, 0x10);
const filler = Uint8Array.of(0x0c, 0xff, 0x80);
const decoderConfig = serializeAvcConfig(avcConfigOf([sps], [pps]));

function picture(header: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index === 0 ? header : (index % 250) + 1));
}

function packetize(packetizer: H264Packetizer, nals: Uint8Array[], timestamp = 3_000): RtpPacket[] {
  const slab = new PacketSlab(64);
  slab.begin(timestamp);
  packetizer.packetize(joinAnnexB(nals), slab);
  return Array.from({ length: slab.count }, (_, i) =>
    parseRtpPacket(slab.slab.slice(slab.offsets[i], slab.offsets[i + 1])),
  );
}

/** What a receiver puts together again (RFC 6184 §5.7, §5.8). */
function depacketize(packets: readonly RtpPacket[]): Uint8Array[] {
  const nals: Uint8Array[] = [];
  let fragments: number[] = [];
  for (const { payload } of packets) {
    const type = payload[0]! & 31;
    if (type === 24) {
      for (let at = 1; at < payload.length;) {
        const size = payload[at]! * 256 + payload[at + 1]!;
        nals.push(payload.slice(at + 2, at + 2 + size));
        at += 2 + size;
      }
    } else if (type === 28) {
      if (payload[1]! & 0x80) fragments = [(payload[0]! & 0xe0) | (payload[1]! & 31)];
      fragments.push(...payload.subarray(2));
      if (payload[1]! & 0x40) nals.push(Uint8Array.from(fragments));
    } else nals.push(payload.slice());
  }
  return nals;
}

test("a small NAL unit is one packet with the marker and the frame's timestamp", () => {
  const packets = packetize(new H264Packetizer({ maxPacketBytes: 1200 }), [picture(0x41, 1188)], 0xffffffff);
  assert.equal(packets.length, 1);
  assert.equal(packets[0]!.marker, true);
  assert.equal(packets[0]!.timestamp, 0xffffffff);
});

test("a large NAL unit becomes equal fragments that fit and join up", () => {
  const idr = picture(0x65, 10_000);
  const packets = packetize(new H264Packetizer({ maxPacketBytes: 1200, decoderConfig }), [aud, sps, pps, idr, filler]);
  assert.deepEqual(depacketize(packets), [sps, pps, idr]);
  const sizes = packets.slice(1).map(({ payload }) => payload.length);
  assert.equal(new Set(sizes.slice(0, -1)).size, 1, "all fragments but the last have one size");
  assert.ok(Math.max(...sizes) + 12 <= 1200);
  assert.ok(sizes.at(-1)! <= sizes[0]!);
  assert.deepEqual(
    packets.map(({ marker }) => marker),
    [...sizes.map(() => false), true],
  );
});

test("parameter sets come from avcC when the bitstream lacks them", () => {
  const packets = packetize(new H264Packetizer({ maxPacketBytes: 1200, decoderConfig }), [picture(0x65, 100)]);
  assert.equal(packets[0]!.payload[0]! & 31, 24, "SPS and PPS travel in one STAP-A");
  assert.deepEqual(depacketize(packets).slice(0, 2), [sps, pps]);
});

test("parameter sets seen earlier stand before a later IDR; in-band ones replace them", () => {
  const packetizer = new H264Packetizer({ maxPacketBytes: 1200 });
  const other = Uint8Array.of(0x67, 0x42, 0xe0, 0x20, 0x99);
  packetize(packetizer, [other, pps, picture(0x65, 50)]);
  assert.deepEqual(depacketize(packetize(packetizer, [picture(0x65, 50)])).slice(0, 2), [other, pps]);
  const alone = Uint8Array.of(0x68, 0xff, 0x01);
  const mixed = depacketize(packetize(packetizer, [alone, picture(0x65, 50)]));
  assert.deepEqual(mixed.slice(0, 2), [other, alone]);
});

test("a picture without IDR gets no parameter sets", () => {
  const packets = packetize(new H264Packetizer({ maxPacketBytes: 1200, decoderConfig }), [picture(0x41, 50)]);
  assert.deepEqual(depacketize(packets), [picture(0x41, 50)]);
});

test("delimiters and filler alone give no packet", () => {
  assert.deepEqual(packetize(new H264Packetizer({ maxPacketBytes: 1200 }), [aud, filler]), []);
});

test("every length around the limit survives the round trip", () => {
  const packetizer = new H264Packetizer({ maxPacketBytes: 100 });
  for (let length = 1; length < 700; length++) {
    const nal = picture(0x41, length);
    const packets = packetize(packetizer, [nal]);
    assert.deepEqual(depacketize(packets), [nal], `length ${length}`);
    assert.ok(packets.every(({ payload }) => payload.length + 12 <= 100));
  }
});
