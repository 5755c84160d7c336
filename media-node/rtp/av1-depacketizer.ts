import { isAv1KeyFrame, obuType, readLeb128, serializeLeb128 } from "../codecs/av1.ts";
import { joinPieces, maxFrameBytes, maxFramePieces, type Depacketizer, type EmitFrame } from "./depacketizer.ts";
import type { RtpPacket } from "./rtp-packet.ts";

/** OBUs in a temporal unit: tiles and metadata of many layers stay below. */
const maxObus = 1_024;
const droppedTypes: readonly number[] = [obuType.temporalDelimiter, obuType.tileList, obuType.padding];

/**
 * AV1 from RTP (AOM "RTP Payload Format For AV1" v1.0). A sample is a temporal unit without its delimiter, each OBU with
 * its length (low overhead format), as ISO BMFF wants it.
 */
export class Av1Depacketizer implements Depacketizer {
  readonly #emit: EmitFrame;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #obus = 0;
  /** Pieces of the OBU that goes on in the next packet. */
  #open: Uint8Array[] | undefined;
  #openBytes = 0;
  #hasSequence = false;
  #hasKeyFrame = false;
  #hasFrame = false;
  #timestamp: number | undefined;
  #isBroken = false;
  #isAfterLoss = false;
  #discarded = 0;

  constructor(emit: EmitFrame) {
    this.#emit = emit;
  }

  get discarded(): number {
    return this.#discarded;
  }

  push({ payload, timestamp, marker }: RtpPacket, isAfterLoss: boolean): void {
    if (isAfterLoss) {
      this.#isAfterLoss = true;
      if (this.#isBegun) this.#break();
    }
    if (timestamp !== this.#timestamp) {
      if (this.#isBegun) this.#finish();
      this.#clear();
      this.#timestamp = timestamp;
    }
    if (!this.#isBroken) this.#take(payload);
    if (marker) this.#finish();
  }

  get #isBegun(): boolean {
    return this.#obus > 0 || this.#open !== undefined;
  }

  /**
   * §4.4: Z: the first element goes on with the last packet's OBU; Y: the last one goes on in the next packet;
   * W: elements in this packet, the last of them without a length; 0 = each with its length.
   *
   *     |Z|Y| W |N|-|-|-| elements …
   */
  #take(payload: Uint8Array): void {
    const flags = payload[0] ?? 0;
    const count = (flags >> 4) & 3;
    if (payload.length < 2 || flags >= 0x80 !== (this.#open !== undefined)) return this.#break();
    let at = 1;
    for (let index = 0; at < payload.length && !this.#isBroken; index++) {
      let end = payload.length;
      if (count === 0 || index < count - 1) {
        const length = readLeb128(payload, at);
        if (!length || length.end + length.value > payload.length) return this.#break();
        at = length.end;
        end = at + length.value;
      }
      if (count > 0 && index >= count) return this.#break();
      const isLast = end === payload.length;
      this.#takeElement(payload.subarray(at, end), isLast && (flags & 0x40) !== 0);
      at = end;
    }
  }

  #takeElement(element: Uint8Array, isContinued: boolean): void {
    (this.#open ??= []).push(element);
    this.#openBytes += element.length;
    const pieces = this.#pieces.length + this.#open.length;
    if (this.#bytes + this.#openBytes > maxFrameBytes || pieces > maxFramePieces) return this.#break();
    if (isContinued) return;
    const obu = this.#open.length === 1 ? element : joinPieces(this.#open, this.#openBytes);
    this.#open = undefined;
    this.#openBytes = 0;
    this.#takeObu(obu);
  }

  /** §5.3.2 of the bitstream: |0| type (4) | extension | has size | - |, the extension's byte, the size. */
  #takeObu(obu: Uint8Array): void {
    const header = obu[0];
    // An element may be empty.
    if (header === undefined) return;
    const type = (header >> 3) & 15;
    if (header >= 0x80 || ++this.#obus > maxObus) return this.#break();
    if (droppedTypes.includes(type)) return;
    const headerLength = header & 4 ? 2 : 1;
    let payload = obu.subarray(headerLength);
    if (header & 2) {
      const size = readLeb128(obu, headerLength);
      if (!size || size.end + size.value > obu.length) return this.#break();
      payload = obu.subarray(size.end, size.end + size.value);
    }
    if (headerLength > obu.length) return this.#break();
    this.#note(type, payload);
    this.#hold(Uint8Array.of(header | 2, ...obu.subarray(1, headerLength)));
    this.#hold(serializeLeb128(payload.length));
    this.#hold(payload);
  }

  #note(type: number, payload: Uint8Array): void {
    if (type === obuType.sequenceHeader) this.#hasSequence = true;
    if (type !== obuType.frame && type !== obuType.frameHeader) return;
    if (!this.#hasFrame) this.#hasKeyFrame = isAv1KeyFrame(payload);
    this.#hasFrame = true;
  }

  #hold(piece: Uint8Array): void {
    this.#pieces.push(piece);
    this.#bytes += piece.length;
  }

  #finish(): void {
    if (this.#open) this.#break();
    if (this.#pieces.length > 0 && this.#timestamp !== undefined) {
      const data = joinPieces(this.#pieces, this.#bytes);
      const isAfterLoss = this.#isAfterLoss;
      this.#isAfterLoss = false;
      const isKeyframe = this.#hasSequence && this.#hasKeyFrame;
      this.#emit({ timestamp: this.#timestamp, data, isKeyframe, isAfterLoss });
    }
    this.#clear();
  }

  #break(): void {
    this.#discarded++;
    this.#clear();
    this.#isBroken = true;
    this.#isAfterLoss = true;
  }

  #clear(): void {
    this.#pieces = [];
    this.#bytes = 0;
    this.#obus = 0;
    this.#open = undefined;
    this.#openBytes = 0;
    this.#hasSequence = false;
    this.#hasKeyFrame = false;
    this.#hasFrame = false;
    this.#isBroken = false;
  }
}
