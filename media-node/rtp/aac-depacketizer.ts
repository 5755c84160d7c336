import { BitReader } from "../bytes/bit-reader.ts";
import { joinPieces, type Depacketizer, type EmitFrame } from "./depacketizer.ts";
import type { RtpPacket } from "./rtp-packet.ts";

/** What `a=fmtp` says of an `mpeg4-generic` stream (RFC 3640 §4.1). */
export interface AacPayloadFormat {
  /** Bits of each AU header field. */
  readonly sizeLength: number;
  readonly indexLength: number;
  readonly indexDeltaLength: number;
  readonly ctsDeltaLength: number;
  readonly dtsDeltaLength: number;
  readonly hasRandomAccessFlag: boolean;
  readonly streamStateLength: number;
  readonly auxiliarySizeLength: number;
  /** Bytes of every access unit, where no size is sent; 0 = sent. */
  readonly constantSize: number;
  /** RTP ticks of one access unit. */
  readonly frameTicks: number;
}

/** One access unit is at most this long: 6144 bits a channel (ISO 14496-3 §4.5.3), 48 channels. */
const maxUnitBytes = 48 * 768;

/** AAC from RTP (RFC 3640) to raw frames: several units a packet, or one unit over several packets. */
export class AacDepacketizer implements Depacketizer {
  readonly #format: AacPayloadFormat;
  readonly #emit: EmitFrame;
  /** Least bits of one header, counting both index fields. */
  readonly #headerBits: number;
  #fragments: Uint8Array[] = [];
  #fragmentBytes = 0;
  /** Announced size of the unit whose fragments are being collected; 0 = none. */
  #unitSize = 0;
  #unitTimestamp = 0;
  #isAfterLoss = false;
  #discarded = 0;

  constructor(format: AacPayloadFormat, emit: EmitFrame) {
    this.#format = format;
    this.#emit = emit;
    const flags = [format.ctsDeltaLength > 0, format.dtsDeltaLength > 0, format.hasRandomAccessFlag];
    this.#headerBits = format.sizeLength + format.indexLength + format.indexDeltaLength + format.streamStateLength;
    this.#headerBits += flags.filter(Boolean).length;
  }

  get discarded(): number {
    return this.#discarded;
  }

  push({ payload, timestamp, marker }: RtpPacket, isAfterLoss: boolean): void {
    if (isAfterLoss) this.#isAfterLoss = true;
    if (this.#unitSize > 0 && (isAfterLoss || timestamp !== this.#unitTimestamp)) this.#drop();
    try {
      this.#take(payload, timestamp, marker);
    } catch {
      this.#drop();
    }
  }

  #take(payload: Uint8Array, timestamp: number, marker: boolean): void {
    const { units, dataAt } = this.#parseHeaders(payload);
    let at = dataAt;
    if (this.#unitSize > 0 || (units.length === 1 && at + units[0]!.size > payload.length)) {
      return this.#takeFragment(payload.subarray(at), units[0]?.size ?? 0, timestamp, marker);
    }
    for (const { size, index } of units) {
      if (size === 0 || at + size > payload.length) return this.#drop();
      this.#finish(payload.slice(at, at + size), timestamp + index * this.#format.frameTicks);
      at += size;
    }
  }

  /**
   * RFC 3640 §3.2.1: 16 bits with the headers' length in bits, then per unit its size, its index (delta) and flags.
   * Index deltas above 0 leave room for units that come in another packet.
   */
  #parseHeaders(payload: Uint8Array): { units: { size: number; index: number }[]; dataAt: number } {
    const { constantSize } = this.#format;
    if (this.#headerBits === 0) {
      const size = constantSize || payload.length;
      const count = Math.floor(payload.length / size);
      return { units: Array.from({ length: count }, (_, index) => ({ size, index })), dataAt: 0 };
    }
    const bits = new BitReader(payload, truncated);
    const headersLength = bits.bits(16);
    const end = bits.remainingBits - headersLength;
    if (end < 0) throw truncated();
    const units: { size: number; index: number }[] = [];
    for (;;) {
      const needed = this.#headerBits - this.#skippable(units.length);
      // Headers of no bits cannot be counted: there is one unit.
      if (bits.remainingBits - end < needed || (needed === 0 && units.length > 0)) break;
      units.push(this.#parseHeader(bits, units));
    }
    return { units, dataAt: 2 + Math.ceil(headersLength / 8) + this.#auxiliaryBytes(payload, headersLength) };
  }

  /** The first header has an index and no delta, later ones the other way round. */
  #skippable(count: number): number {
    return count === 0 ? this.#format.indexDeltaLength : this.#format.indexLength;
  }

  #parseHeader(bits: BitReader, before: readonly { index: number }[]): { size: number; index: number } {
    const { sizeLength, indexLength, indexDeltaLength, constantSize } = this.#format;
    const size = sizeLength > 0 ? bits.bits(sizeLength) : constantSize;
    const previous = before.at(-1);
    const delta = bits.bits(previous ? indexDeltaLength : indexLength);
    const index = previous ? previous.index + delta + 1 : 0;
    if (this.#format.ctsDeltaLength > 0 && bits.flag()) bits.bits(this.#format.ctsDeltaLength);
    if (this.#format.dtsDeltaLength > 0 && bits.flag()) bits.bits(this.#format.dtsDeltaLength);
    if (this.#format.hasRandomAccessFlag) bits.flag();
    bits.bits(this.#format.streamStateLength);
    return { size, index };
  }

  #auxiliaryBytes(payload: Uint8Array, headersLength: number): number {
    if (this.#format.auxiliarySizeLength === 0) return 0;
    const bits = new BitReader(payload.subarray(2 + Math.ceil(headersLength / 8)), truncated);
    return Math.ceil((this.#format.auxiliarySizeLength + bits.bits(this.#format.auxiliarySizeLength)) / 8);
  }

  #takeFragment(fragment: Uint8Array, size: number, timestamp: number, marker: boolean): void {
    if (this.#unitSize === 0) {
      this.#unitSize = size;
      this.#unitTimestamp = timestamp;
    }
    this.#fragments.push(fragment);
    this.#fragmentBytes += fragment.length;
    if (this.#unitSize > maxUnitBytes || this.#fragmentBytes > this.#unitSize) return this.#drop();
    if (this.#fragments.length > maxUnitBytes / 16) return this.#drop();
    if (this.#fragmentBytes === this.#unitSize) {
      const data = joinPieces(this.#fragments, this.#fragmentBytes);
      this.#forget();
      this.#finish(data, timestamp);
    } else if (marker) this.#drop();
  }

  #finish(data: Uint8Array, timestamp: number): void {
    const isAfterLoss = this.#isAfterLoss;
    this.#isAfterLoss = false;
    this.#emit({ timestamp: timestamp >>> 0, data: withoutAdts(data), isKeyframe: true, isAfterLoss });
  }

  #drop(): void {
    this.#discarded++;
    this.#isAfterLoss = true;
    this.#forget();
  }

  #forget(): void {
    this.#fragments = [];
    this.#fragmentBytes = 0;
    this.#unitSize = 0;
  }
}

/** Some cameras leave the ADTS header in front of each unit. */
function withoutAdts(data: Uint8Array): Uint8Array {
  if (data.length < 9 || data[0] !== 0xff || (data[1]! & 0xf6) !== 0xf0) return data;
  const length = ((data[3]! & 3) << 11) | (data[4]! << 3) | (data[5]! >> 5);
  return length === data.length ? data.subarray(data[1]! & 1 ? 7 : 9) : data;
}

const truncated = (): Error => new RangeError("the AU headers end early");
