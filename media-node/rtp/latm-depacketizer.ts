import { BitReader } from "../bytes/bit-reader.ts";
import { ProtocolError } from "../flow/errors.ts";
import { joinPieces, type Depacketizer, type EmitFrame } from "./depacketizer.ts";
import type { RtpPacket } from "./rtp-packet.ts";

/** One AudioMuxElement is at most this long; encoders stay below 8 kB. */
const maxElementBytes = 64 * 1024;

/** The one AudioSpecificConfig of a StreamMuxConfig (ISO 14496-3 §1.7.3), byte-aligned, and its frames per element. */
export interface LatmConfig {
  readonly audioSpecificConfig: Uint8Array;
  readonly framesPerElement: number;
}

/**
 * Reads the `config` of an MP4A-LATM description.
 * @throws {ProtocolError} when it is cut short, or of the kinds no RTP sender uses: several programs or layers
 */
export function parseLatmConfig(bytes: Uint8Array): LatmConfig {
  const bits = new BitReader(bytes, () => new ProtocolError("LATM_TRUNCATED", "the StreamMuxConfig ends early"));
  const isVersion1 = bits.flag();
  bits.flag();
  const framesPerElement = bits.bits(6) + 1;
  const programs = bits.bits(4);
  const layers = bits.bits(3);
  if (isVersion1 || programs > 0 || layers > 0) {
    throw new ProtocolError("LATM_UNSUPPORTED", "a StreamMuxConfig with several programs or layers");
  }
  return { audioSpecificConfig: copyAudioSpecificConfig(bits), framesPerElement };
}

/** The AudioSpecificConfig is not aligned and has no length: it is copied field by field (ISO 14496-3 §1.6.2.1). */
function copyAudioSpecificConfig(bits: BitReader): Uint8Array {
  const copied: number[] = [];
  const copy = (count: number): number => {
    const value = bits.bits(count);
    for (let bit = count - 1; bit >= 0; bit--) copied.push(Math.floor(value / 2 ** bit) & 1);
    return value;
  };
  const copyRate = (): void => void (copy(4) === 15 && copy(24));
  const copyType = (): number => {
    const type = copy(5);
    return type === 31 ? 32 + copy(6) : type;
  };
  const type = copyType();
  copyRate();
  if (copy(4) === 0) throw new ProtocolError("LATM_UNSUPPORTED", "channels described in band");
  if (type === 5 || type === 29) {
    copyRate();
    copyType();
  }
  // GASpecificConfig: frame length, core coder and extension flags.
  copy(3);
  const bytes = new Uint8Array(Math.ceil(copied.length / 8));
  for (const [index, bit] of copied.entries()) bytes[index >> 3]! |= bit << (7 - (index & 7));
  return bytes;
}

/** AAC from RTP by LATM (RFC 6416 §6, `cpresent=0`): the configuration stands in the SDP, elements end at the marker. */
export class LatmDepacketizer implements Depacketizer {
  readonly #emit: EmitFrame;
  readonly #framesPerElement: number;
  readonly #frameTicks: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #timestamp = 0;
  #isBroken = false;
  #isAfterLoss = false;
  #discarded = 0;

  constructor(framesPerElement: number, frameTicks: number, emit: EmitFrame) {
    this.#framesPerElement = framesPerElement;
    this.#frameTicks = frameTicks;
    this.#emit = emit;
  }

  get discarded(): number {
    return this.#discarded;
  }

  push({ payload, timestamp, marker }: RtpPacket, isAfterLoss: boolean): void {
    if (isAfterLoss) {
      this.#isAfterLoss = true;
      if (this.#pieces.length > 0) this.#break();
    }
    if (timestamp !== this.#timestamp) {
      if (this.#pieces.length > 0) this.#finish();
      this.#isBroken = false;
      this.#timestamp = timestamp;
    }
    if (!this.#isBroken) {
      this.#pieces.push(payload);
      this.#bytes += payload.length;
      if (this.#bytes > maxElementBytes || this.#pieces.length > 1_024) this.#break();
    }
    if (marker) this.#finish();
  }

  /** PayloadLengthInfo (ISO 14496-3 §1.7.3, table 1.44) is a run of 255 and a byte below, before each frame. */
  #finish(): void {
    const element = joinPieces(this.#pieces, this.#bytes);
    const isBroken = this.#isBroken;
    this.#forget();
    if (isBroken) return;
    let at = 0;
    for (let frame = 0; frame < this.#framesPerElement && at < element.length; frame++) {
      let length = 0;
      while (element[at] === 255) length += element[at++]!;
      length += element[at++] ?? 0;
      // An element that lost its head begins with anything.
      if (length === 0 || at + length > element.length) return this.#fail();
      const isAfterLoss = this.#isAfterLoss;
      this.#isAfterLoss = false;
      const data = element.slice(at, at + length);
      this.#emit({
        timestamp: (this.#timestamp + frame * this.#frameTicks) >>> 0,
        data,
        isKeyframe: true,
        isAfterLoss,
      });
      at += length;
    }
  }

  #break(): void {
    this.#fail();
    this.#isBroken = true;
  }

  #fail(): void {
    this.#discarded++;
    this.#isAfterLoss = true;
    this.#forget();
  }

  #forget(): void {
    this.#pieces = [];
    this.#bytes = 0;
    this.#isBroken = false;
  }
}
