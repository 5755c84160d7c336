import type { EmitFrame } from "./depacketizer.ts";
import { NalDepacketizer, type NalPayloads } from "./nal-depacketizer.ts";

/** RFC 7798 §4.4.2: a two-byte header, then the units. */
const aggregate = 48;
/**
 * RFC 7798 §4.4.3:
 *
 *     |F|  49   | layer id | TID |S|E|  type   | fragment …
 */
const fragment = 49;

/** NAL unit types of ITU-T H.265 table 7-1: 0…31 slices, 16…21 of them random access points, 32…34 VPS, SPS, PPS. */
const payloads: NalPayloads = {
  traits: {
    typeOf: (firstByte) => (firstByte >> 1) & 0x3f,
    isSlice: (type) => type < 32,
    isKeySlice: (type) => type >= 16 && type <= 21,
    isParameterSet: (type) => type >= 32 && type <= 34,
    isFiller: (type) => type === 38,
    // RASL_N, RASL_R
    isLeading: (type) => type === 8 || type === 9,
    headerLength: 2,
  },
  aggregate,
  fragment,
  isSingle: (type, payload) => type < aggregate && payload.length > 2,
  headerOf: (payload, fuHeader) => Uint8Array.of((payload[0]! & 0x81) | ((fuHeader & 0x3f) << 1), payload[1]!),
};

/** H.265 from RTP (RFC 7798, without DONL fields: `sprop-max-don-diff=0`) to Annex B access units. */
export class H265Depacketizer extends NalDepacketizer {
  constructor(emit: EmitFrame) {
    super(payloads, emit);
  }
}
