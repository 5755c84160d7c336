import { splitAnnexB } from "../codecs/annex-b.ts";
import { AccessUnitAssembler, type NalTraits } from "./access-unit-assembler.ts";
import type { Depacketizer, EmitFrame } from "./depacketizer.ts";
import type { RtpPacket } from "./rtp-packet.ts";

/** How a codec made of NAL units stands in RTP payloads: RFC 6184 and RFC 7798 differ in this alone. */
export interface NalPayloads {
  readonly traits: NalTraits;
  /** Types of payloads that hold several units, and a piece of one. */
  readonly aggregate: number;
  readonly fragment: number;
  /** Whether a payload of another type is one whole unit. */
  isSingle(type: number, payload: Uint8Array): boolean;
  /** The header of the unit that a fragment is of. @param fuHeader the byte behind the payload's own header */
  headerOf(payload: Uint8Array, fuHeader: number): Uint8Array;
}

/** H.264 or H.265 from RTP to Annex B access units. */
export class NalDepacketizer implements Depacketizer {
  readonly #payloads: NalPayloads;
  readonly #assembler: AccessUnitAssembler;
  #malformed = 0;

  constructor(payloads: NalPayloads, emit: EmitFrame) {
    this.#payloads = payloads;
    this.#assembler = new AccessUnitAssembler(payloads.traits, emit);
  }

  get discarded(): number {
    return this.#assembler.discarded + this.#malformed;
  }

  push({ payload, timestamp, marker }: RtpPacket, isAfterLoss: boolean): void {
    const { traits, aggregate, fragment } = this.#payloads;
    this.#assembler.beginPacket(timestamp, isAfterLoss);
    const type = traits.typeOf(payload[0] ?? 0);
    if (type === fragment) this.#takeFragment(payload);
    else if (type === aggregate) this.#takeAggregate(payload);
    else if (startsWithStartCode(payload)) for (const nal of splitAnnexB(payload)) this.#assembler.push(nal);
    else if (this.#payloads.isSingle(type, payload)) this.#assembler.push(payload);
    else if (payload.length > 0) this.#malformed++;
    this.#assembler.endPacket(marker);
  }

  /** A header, then NAL units each behind a 16-bit length. */
  #takeAggregate(payload: Uint8Array): void {
    for (let at = this.#payloads.traits.headerLength; at < payload.length;) {
      const length = at + 2 <= payload.length ? (payload[at]! << 8) | payload[at + 1]! : Number.POSITIVE_INFINITY;
      at += 2;
      if (at + length > payload.length) return this.#break();
      if (length > 0) this.#assembler.push(payload.subarray(at, at + length));
      at += length;
    }
  }

  /** A header, a byte that tells the first piece and the last, and the piece. */
  #takeFragment(payload: Uint8Array): void {
    const { headerLength } = this.#payloads.traits;
    if (payload.length < headerLength + 2) return this.#break();
    const fuHeader = payload[headerLength]!;
    const fragment = payload.subarray(headerLength + 1);
    if (fuHeader & 0x80) this.#assembler.beginFragment(this.#payloads.headerOf(payload, fuHeader), fragment);
    else this.#assembler.pushFragment(fragment);
    if (fuHeader & 0x40) this.#assembler.endFragment();
  }

  #break(): void {
    this.#malformed++;
    this.#assembler.breakUnit();
  }
}

/** Some cameras send whole Annex B byte streams as RTP payloads; type 0 is otherwise unused. */
export function startsWithStartCode(payload: Uint8Array): boolean {
  return payload[0] === 0 && payload[1] === 0 && (payload[2] === 1 || (payload[2] === 0 && payload[3] === 1));
}
