import { isAv1KeyFrame, obuType, readLeb128, serializeLeb128 } from "../codecs/av1.ts";
import { joinPieces } from "./depacketizer.ts";
import { MarkedFrames } from "./marked-frames.ts";

/** OBUs in a temporal unit: tiles and metadata of many layers stay below. */
const maxObus = 1_024;
const droppedTypes: readonly number[] = [obuType.temporalDelimiter, obuType.tileList, obuType.padding];

/**
 * AV1 from RTP (AOM "RTP Payload Format For AV1" v1.0). A sample is a temporal unit without its delimiter, each OBU with
 * its length (low overhead format), as ISO BMFF wants it.
 */
export class Av1Depacketizer extends MarkedFrames {
  #obus = 0;
  /** Pieces of the OBU that goes on in the next packet. */
  #open: Uint8Array[] | undefined;
  #openBytes = 0;
  #hasSequence = false;
  #hasKeyFrame = false;
  #hasFrame = false;

  protected override get isBegun(): boolean {
    return this.#obus > 0 || this.#open !== undefined;
  }

  protected override get isWhole(): boolean {
    return this.#open === undefined;
  }

  /**
   * §4.4: Z: the first element goes on with the last packet's OBU; Y: the last one goes on in the next packet;
   * W: elements in this packet, the last of them without a length; 0 = each with its length.
   *
   *     |Z|Y| W |N|-|-|-| elements …
   */
  protected override take(payload: Uint8Array): void {
    const flags = payload[0] ?? 0;
    const count = (flags >> 4) & 3;
    if (payload.length < 2 || flags >= 0x80 !== (this.#open !== undefined)) return this.discard();
    let at = 1;
    for (let index = 0; at < payload.length && !this.isBroken; index++) {
      let end = payload.length;
      if (count === 0 || index < count - 1) {
        const length = readLeb128(payload, at);
        if (!length || length.end + length.value > payload.length) return this.discard();
        at = length.end;
        end = at + length.value;
      }
      if (count > 0 && index >= count) return this.discard();
      const isLast = end === payload.length;
      this.#takeElement(payload.subarray(at, end), isLast && (flags & 0x40) !== 0);
      at = end;
    }
  }

  #takeElement(element: Uint8Array, isContinued: boolean): void {
    (this.#open ??= []).push(element);
    this.#openBytes += element.length;
    if (this.isTooLarge(this.#openBytes, this.#open.length)) return this.discard();
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
    if (header >= 0x80 || ++this.#obus > maxObus) return this.discard();
    if (droppedTypes.includes(type)) return;
    const headerLength = header & 4 ? 2 : 1;
    let payload = obu.subarray(headerLength);
    if (header & 2) {
      const size = readLeb128(obu, headerLength);
      if (!size || size.end + size.value > obu.length) return this.discard();
      payload = obu.subarray(size.end, size.end + size.value);
    }
    if (headerLength > obu.length) return this.discard();
    this.#note(type, payload);
    this.hold(Uint8Array.of(header | 2, ...obu.subarray(1, headerLength)));
    this.hold(serializeLeb128(payload.length));
    this.hold(payload);
  }

  #note(type: number, payload: Uint8Array): void {
    if (type === obuType.sequenceHeader) this.#hasSequence = true;
    if (type !== obuType.frame && type !== obuType.frameHeader) return;
    if (!this.#hasFrame) this.#hasKeyFrame = isAv1KeyFrame(payload);
    this.#hasFrame = true;
  }

  protected override finish(data: Uint8Array): void {
    this.emitFrame(data, this.#hasSequence && this.#hasKeyFrame);
  }

  protected override forget(): void {
    this.#obus = 0;
    this.#open = undefined;
    this.#openBytes = 0;
    this.#hasSequence = false;
    this.#hasKeyFrame = false;
    this.#hasFrame = false;
  }
}
