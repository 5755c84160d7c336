import { splitAnnexB } from "../codecs/annex-b.ts";
import { AccessUnitAssembler, type NalTraits } from "./access-unit-assembler.ts";
import type { Depacketizer, EmitFrame } from "./depacketizer.ts";
import { startsWithStartCode } from "./h264-depacketizer.ts";
import type { RtpPacket } from "./rtp-packet.ts";

/** NAL unit types of ITU-T H.265 table 7-1: 0…31 slices, 16…21 of them random access points, 32…34 VPS, SPS, PPS. */
const traits: NalTraits = {
  typeOf: (firstByte) => (firstByte >> 1) & 0x3f,
  isSlice: (type) => type < 32,
  isKeySlice: (type) => type >= 16 && type <= 21,
  isParameterSet: (type) => type >= 32 && type <= 34,
  isFiller: (type) => type === 38,
  // RASL_N, RASL_R
  isLeading: (type) => type === 8 || type === 9,
  headerLength: 2,
};

/** Payload structures (RFC 7798 §4.4). */
const aggregate = 48;
const fragmentation = 49;

/** H.265 from RTP (RFC 7798, without DONL fields: `sprop-max-don-diff=0`) to Annex B access units. */
export class H265Depacketizer implements Depacketizer {
  readonly #assembler: AccessUnitAssembler;
  #malformed = 0;

  constructor(emit: EmitFrame) {
    this.#assembler = new AccessUnitAssembler(traits, emit);
  }

  get discarded(): number {
    return this.#assembler.discarded + this.#malformed;
  }

  push({ payload, timestamp, marker }: RtpPacket, isAfterLoss: boolean): void {
    this.#assembler.beginPacket(timestamp, isAfterLoss);
    const type = traits.typeOf(payload[0] ?? 0);
    if (type === fragmentation) this.#takeFragment(payload);
    else if (type === aggregate) this.#takeAggregate(payload);
    else if (startsWithStartCode(payload)) for (const nal of splitAnnexB(payload)) this.#assembler.push(nal);
    else if (type < aggregate && payload.length > 2) this.#assembler.push(payload);
    else if (payload.length > 0) this.#malformed++;
    this.#assembler.endPacket(marker);
  }

  /** RFC 7798 §4.4.2: a two-byte header, then NAL units each behind a 16-bit length. */
  #takeAggregate(payload: Uint8Array): void {
    for (let at = 2; at < payload.length;) {
      const length = at + 2 <= payload.length ? (payload[at]! << 8) | payload[at + 1]! : Number.POSITIVE_INFINITY;
      at += 2;
      if (at + length > payload.length) {
        this.#malformed++;
        return this.#assembler.breakUnit();
      }
      this.#assembler.push(payload.subarray(at, at + length));
      at += length;
    }
  }

  /**
   * RFC 7798 §4.4.3:
   *
   *     |F|  49   | layer id | TID |S|E|  type   | fragment …
   */
  #takeFragment(payload: Uint8Array): void {
    if (payload.length < 4) {
      this.#malformed++;
      return this.#assembler.breakUnit();
    }
    const fuHeader = payload[2]!;
    const fragment = payload.subarray(3);
    if (fuHeader & 0x80) {
      const header = Uint8Array.of((payload[0]! & 0x81) | ((fuHeader & 0x3f) << 1), payload[1]!);
      this.#assembler.beginFragment(header, fragment);
    } else this.#assembler.pushFragment(fragment);
    if (fuHeader & 0x40) this.#assembler.endFragment();
  }
}
