import type { Sample } from "../../core/sample.ts";
import type { Packetizer } from "../../rtp/packetizer.ts";
import { rtpHeaderBytes, type PacketSlab } from "../../rtp/packet-slab.ts";

// A sample cut into RTP payloads once, on its way to the threads that send it:
//
//     | pts (64) | dts (64) | duration (32) | track (32) | key frame (8) | 0 (24) | packets |
//     packets: | marker (1) | payload length (31) | payload | …      all little-endian, times as doubles
const headBytes = 28;
const markerBit = 0x8000_0000;

/** `sample`, cut into the packets of `slab`, behind `reserved` bytes that the caller fills. */
export function packSample(sample: Sample, slab: PacketSlab, reserved: number): Uint8Array {
  const bytes = new Uint8Array(reserved + headBytes + slab.byteLength - slab.count * (rtpHeaderBytes - 4));
  const view = new DataView(bytes.buffer, reserved);
  view.setFloat64(0, sample.pts, true);
  view.setFloat64(8, sample.dts, true);
  view.setUint32(16, sample.duration, true);
  view.setUint32(20, sample.trackId, true);
  view.setUint32(24, sample.isKeyframe ? 1 : 0, true);
  let at = headBytes;
  for (let i = 0; i < slab.count; i++) {
    const start = slab.offsets[i]!;
    const end = slab.offsets[i + 1]!;
    const length = end - start - rtpHeaderBytes;
    const isMarked = (slab.slab[start + 1]! & 0x80) !== 0;
    view.setUint32(at, isMarked ? length + markerBit : length, true);
    bytes.set(slab.slab.subarray(start + rtpHeaderBytes, end), reserved + at + 4);
    at += 4 + length;
  }
  return bytes;
}

/** The sample, its `data` being its packets, copied out of `record`: only {@link PackedPacketizer} understands it. */
export function readPacked(record: Uint8Array): Sample {
  const view = new DataView(record.buffer, record.byteOffset, record.length);
  const data = new Uint8Array(record.length - headBytes);
  data.set(record.subarray(headBytes));
  return {
    pts: view.getFloat64(0, true),
    dts: view.getFloat64(8, true),
    duration: view.getUint32(16, true),
    trackId: view.getUint32(20, true),
    isKeyframe: view.getUint32(24, true) === 1,
    data,
  };
}

/** Takes the packets that another thread made out of a sample. */
export class PackedPacketizer implements Packetizer {
  readonly clockRate: number;

  constructor(clockRate: number) {
    this.clockRate = clockRate;
  }

  packetize(data: Uint8Array, slab: PacketSlab): void {
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    for (let at = 0; at < data.length;) {
      const word = view.getUint32(at, true);
      const length = word % markerBit;
      slab.addCopy(data, at + 4, at + 4 + length);
      if (word >= markerBit) slab.markLast();
      at += 4 + length;
    }
  }
}
