// Samples of any bytes are cut into packets that fit, that RTP's parser reads, and that a depacketizer does not choke on;
// of VP8 and VP9, which are cut blindly, the same bytes come out.
import assert from "node:assert/strict";
import { obusOf } from "../../media-node/codecs/av1.ts";
import type { Codec } from "../../media-node/codecs/codec.ts";
import { Av1Depacketizer } from "../../media-node/rtp/av1-depacketizer.ts";
import type { Depacketizer, EmitFrame } from "../../media-node/rtp/depacketizer.ts";
import { H264Depacketizer } from "../../media-node/rtp/h264-depacketizer.ts";
import { H265Depacketizer } from "../../media-node/rtp/h265-depacketizer.ts";
import { PacketSlab } from "../../media-node/rtp/packet-slab.ts";
import { createPacketizer } from "../../media-node/rtp/packetizer.ts";
import { parseRtpPacket } from "../../media-node/rtp/rtp-packet.ts";
import { Vp8Depacketizer } from "../../media-node/rtp/vp8-depacketizer.ts";
import { Vp9Depacketizer } from "../../media-node/rtp/vp9-depacketizer.ts";

const maxPacketBytes = 64;
const slab = new PacketSlab();
const codecs: readonly (readonly [Codec, (emit: EmitFrame) => Depacketizer])[] = [
  ["h264", (emit) => new H264Depacketizer(emit)],
  ["h265", (emit) => new H265Depacketizer(emit)],
  ["vp8", (emit) => new Vp8Depacketizer(emit)],
  ["vp9", (emit) => new Vp9Depacketizer(emit)],
  ["av1", (emit) => new Av1Depacketizer(emit)],
];

/** A key frame of each codec. */
export const seeds = [
  [0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 4, 0, 0, 0, 1, 0x65, 0x88, ...Array<number>(90).fill(7)],
  [0, 0, 0, 1, 0x40, 1, 2, 0, 0, 0, 1, 0x42, 1, 3, 0, 0, 0, 1, 0x44, 1, 4, 0, 0, 0, 1, 0x26, 1, 0x88, 9],
  [0x82, 0x49, 0x83, 0x42, 0, 0x27, 0xf0, 0x16, 0x70, ...Array<number>(80).fill(5)],
  [0x12, 0, 0x0a, 9, 0, 0, 0, 0x2c, 0xee, 0xef, 0xbf, 0xe1, 0xbd, 0x32, 70, 0x10, ...Array<number>(69).fill(3)],
  [0x2e, 0x28, 1, 4, 0x36, 0x28, 2, 0x30, 1, 0x22, 3, 1, 2, 3, 0x22, 1, 4, 0x7a, 0],
].map((bytes) => Uint8Array.from(bytes));

export function fuzz(input: Uint8Array): void {
  for (const [codec, open] of codecs) {
    const packetizer = createPacketizer(codec, { maxPacketBytes })!;
    const frames: Uint8Array[] = [];
    const depacketizer = open(({ data }) => frames.push(data));
    slab.begin(9);
    packetizer.packetize(input, slab);
    for (let i = 0; i < slab.count; i++) {
      const packet = parseRtpPacket(slab.slab.slice(slab.offsets[i], slab.offsets[i + 1]));
      assert.ok(packet.payload.length > 0 && packet.payload.length + 12 <= maxPacketBytes, codec);
      assert.equal(packet.marker, i === slab.count - 1, codec);
      depacketizer.push(packet, false);
    }
    if (codec === "vp9") assert.deepEqual(frames, input.length === 0 ? [] : [input]);
    if (codec === "av1" && obusOf(input).some(({ type }) => type === 6)) assert.equal(frames.length, 1, "AV1 is whole");
  }
}
