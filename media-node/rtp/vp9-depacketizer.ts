import { vp9KeyFrame } from "../codecs/vp9.ts";
import { MarkedFrames } from "./marked-frames.ts";

/**
 * VP9 from RTP (RFC 9628). A sample is a whole picture: the frames of its spatial layers one after the other, as
 * decoders take them. Which layers a viewer could do without is not looked at.
 */
export class Vp9Depacketizer extends MarkedFrames {
  /** The last packet ended a frame of a layer. */
  #hasEnded = false;

  protected override get isWhole(): boolean {
    return this.#hasEnded;
  }

  protected override take(payload: Uint8Array): void {
    if (payload.length === 0) return;
    const flags = payload[0]!;
    const isStart = (flags & bit.startOfFrame) !== 0;
    const length = descriptorLength(payload);
    // Where one frame ends another begins; anything else misses a piece, or is none.
    const isNext = !this.isBegun || this.#hasEnded ? isStart : !isStart;
    if (length >= payload.length || !isNext) return this.discard();
    this.#hasEnded = (flags & bit.endOfFrame) !== 0;
    this.hold(payload.subarray(length));
  }

  protected override finish(data: Uint8Array): void {
    this.emitFrame(data, vp9KeyFrame(data) !== undefined);
  }

  protected override forget(): void {
    this.#hasEnded = false;
  }
}

const bit = {
  pictureId: 0x80,
  interPicture: 0x40,
  layers: 0x20,
  flexible: 0x10,
  startOfFrame: 0x08,
  endOfFrame: 0x04,
  scalability: 0x02,
};

/**
 * RFC 9628 §4.2:
 *
 *     |I|P|L|F|B|E|V|Z|  I: |M| picture id (7 or 15 bits) |  L: |TID|U|SID|D|, without F also TL0PICIDX
 *                        F and P: up to three |P_DIFF|N|  V: scalability structure
 *
 * @returns more than the payload holds when it is cut short
 */
function descriptorLength(payload: Uint8Array): number {
  const flags = payload[0]!;
  let at = 1;
  if (flags & bit.pictureId) at += (payload[at] ?? 0) & 0x80 ? 2 : 1;
  if (flags & bit.layers) at += flags & bit.flexible ? 1 : 2;
  if (flags & bit.flexible && flags & bit.interPicture) {
    let more = true;
    for (let reference = 0; reference < 3 && more; reference++) more = ((payload[at++] ?? 0) & 1) !== 0;
    // Three is the most there may be.
    if (more) return Number.POSITIVE_INFINITY;
  }
  return flags & bit.scalability ? endOfStructure(payload, at) : at;
}

/**
 * RFC 9628 §4.2.1:
 *
 *     | N_S |Y|G|-|-|-|  Y: (N_S + 1) × width, height  G: N_G, N_G × (|T|T|T|U|R|R|-|-| and R × P_DIFF)
 */
function endOfStructure(payload: Uint8Array, start: number): number {
  const head = payload[start] ?? 0;
  let at = start + 1;
  if (head & 0x10) at += ((head >> 5) + 1) * 4;
  if (head & 0x08) {
    const pictures = payload[at++] ?? 0;
    for (let picture = 0; picture < pictures; picture++) at += 1 + (((payload[at] ?? 0) >> 2) & 3);
  }
  return at;
}
