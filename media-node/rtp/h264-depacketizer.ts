import { nalType, nalTypeOf, recoveryFrames } from "../codecs/h264.ts";
import type { EmitFrame } from "./depacketizer.ts";
import { NalDepacketizer, type NalPayloads } from "./nal-depacketizer.ts";

/** STAP-A (RFC 6184 §5.7.1): one byte, then the units. */
const stapA = 24;
/**
 * FU-A (RFC 6184 §5.8):
 *
 *     |F|NRI|  28   |S|E|R|  type   | fragment …
 */
const fuA = 28;

const payloads: NalPayloads = {
  traits: {
    typeOf: nalTypeOf,
    // 1 slice, 2…4 data partitions, 5 IDR slice; partitions B and C are never first and belong to an open picture.
    isSlice: (type) => type === nalType.slice || type === 2 || type === nalType.idr,
    isKeySlice: (type) => type === nalType.idr,
    isParameterSet: (type) => type === nalType.sps || type === nalType.pps,
    isFiller: (type) => type === nalType.filler,
    isRecoveryPoint: (nal) => nalTypeOf(nal[0]!) === nalType.sei && recoveryFrames(nal) === 0,
    headerLength: 1,
  },
  aggregate: stapA,
  fragment: fuA,
  isSingle: (type) => type > 0 && type < stapA,
  headerOf: (payload, fuHeader) => Uint8Array.of((payload[0]! & 0xe0) | (fuHeader & 0x1f)),
};

/** H.264 from RTP (RFC 6184, single NAL unit and non-interleaved mode) to Annex B access units. */
export class H264Depacketizer extends NalDepacketizer {
  constructor(emit: EmitFrame) {
    super(payloads, emit);
  }
}
