import { splitAnnexB } from "../codecs/annex-b.ts";
import { nalType, nalTypeOf, recoveryFrames } from "../codecs/h264.ts";
import { AccessUnitAssembler, type NalTraits } from "./access-unit-assembler.ts";
import type { Depacketizer, EmitFrame } from "./depacketizer.ts";
import type { RtpPacket } from "./rtp-packet.ts";

const traits: NalTraits = {
  typeOf: nalTypeOf,
  // 1 slice, 2…4 data partitions, 5 IDR slice; partitions B and C are never first and belong to an open picture.
  isSlice: (type) => type === nalType.slice || type === 2 || type === nalType.idr,
  isKeySlice: (type) => type === nalType.idr,
  isParameterSet: (type) => type === nalType.sps || type === nalType.pps,
  isFiller: (type) => type === nalType.filler,
  isRecoveryPoint: (nal) => nalTypeOf(nal[0]!) === nalType.sei && recoveryFrames(nal) === 0,
  headerLength: 1,
};

/** Payload structures (RFC 6184 §5.2, table 1). */
const stapA = 24;
const fuA = 28;

/** H.264 from RTP (RFC 6184, single NAL unit and non-interleaved mode) to Annex B access units. */
export class H264Depacketizer implements Depacketizer {
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
    const type = nalTypeOf(payload[0] ?? 0);
    if (type === fuA) this.#takeFragment(payload);
    else if (type === stapA) this.#takeAggregate(payload);
    else if (type > 0 && type < stapA) this.#assembler.push(payload);
    else if (startsWithStartCode(payload)) for (const nal of splitAnnexB(payload)) this.#assembler.push(nal);
    else if (payload.length > 0) this.#malformed++;
    this.#assembler.endPacket(marker);
  }

  /**
   * RFC 6184 §5.7.1: one byte, then NAL units each behind a 16-bit length.
   */
  #takeAggregate(payload: Uint8Array): void {
    for (let at = 1; at < payload.length;) {
      const length = at + 2 <= payload.length ? (payload[at]! << 8) | payload[at + 1]! : Number.POSITIVE_INFINITY;
      at += 2;
      if (at + length > payload.length) {
        this.#malformed++;
        return this.#assembler.breakUnit();
      }
      if (length > 0) this.#assembler.push(payload.subarray(at, at + length));
      at += length;
    }
  }

  /**
   * RFC 6184 §5.8:
   *
   *     |F|NRI|  28   |S|E|R|  type   | fragment …
   */
  #takeFragment(payload: Uint8Array): void {
    if (payload.length < 3) {
      this.#malformed++;
      return this.#assembler.breakUnit();
    }
    const fuHeader = payload[1]!;
    const fragment = payload.subarray(2);
    if (fuHeader & 0x80) {
      this.#assembler.beginFragment(Uint8Array.of((payload[0]! & 0xe0) | (fuHeader & 0x1f)), fragment);
    } else this.#assembler.pushFragment(fragment);
    if (fuHeader & 0x40) this.#assembler.endFragment();
  }
}

/** Some cameras send whole Annex B byte streams as RTP payloads; type 0 is otherwise unused. */
export function startsWithStartCode(payload: Uint8Array): boolean {
  return payload[0] === 0 && payload[1] === 0 && (payload[2] === 1 || (payload[2] === 0 && payload[3] === 1));
}
