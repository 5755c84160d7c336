import { vp9KeyFrame, type Vp9Picture } from "../codecs/vp9.ts";
import { equalPieceBytes } from "./nal-units.ts";
import { copyBytes, rtpHeaderBytes, type PacketSlab } from "./packet-slab.ts";

const descriptorBytes = 3;
/** `N_S` = 0, size and one picture of a group there: {@link writeStructure}. */
const structureBytes = 8;

const bit = { pictureId: 0x80, interPicture: 0x40, startOfFrame: 0x08, endOfFrame: 0x04, scalability: 0x02 };

/**
 * VP9 into RTP (RFC 9628, non-flexible mode, one layer), cut into equal pieces. Every picture has a 15-bit id; key frames
 * bring a scalability structure that tells their size.
 */
export class Vp9Packetizer {
  readonly clockRate = 90_000;
  readonly #maxPayload: number;
  #pictureId = 0;

  constructor(options: { readonly maxPacketBytes: number }) {
    this.#maxPayload = options.maxPacketBytes - rtpHeaderBytes - descriptorBytes;
  }

  /**
   * RFC 9628 §4.2:
   *
   *     |I|P|L|F|B|E|V|Z|M|      picture id      |  V: scalability structure  | piece of the picture …
   */
  packetize(data: Uint8Array, slab: PacketSlab): void {
    if (data.length === 0) return;
    const keyframe = vp9KeyFrame(data);
    // The structure stands in the first piece, so it is cut as if it were a part of the picture.
    const extra = keyframe ? structureBytes : 0;
    const size = equalPieceBytes(data.length + extra, this.#maxPayload);
    for (let at = -extra; at < data.length; at += size) {
      const until = Math.min(at + size, data.length);
      const isStart = at === -extra;
      const payload = slab.add(descriptorBytes + until - at);
      const out = slab.slab;
      out[payload] =
        bit.pictureId |
        (keyframe ? 0 : bit.interPicture) |
        (isStart ? bit.startOfFrame : 0) |
        (until === data.length ? bit.endOfFrame : 0) |
        (isStart && keyframe ? bit.scalability : 0);
      out[payload + 1] = 0x80 | (this.#pictureId >> 8);
      out[payload + 2] = this.#pictureId;
      const from = Math.max(at, 0);
      if (isStart && keyframe) writeStructure(keyframe, out, payload + descriptorBytes);
      copyBytes(data, from, until, out, payload + descriptorBytes + from - at);
    }
    this.#pictureId = (this.#pictureId + 1) & 0x7fff;
    slab.markLast();
  }
}

/**
 * RFC 9628 §4.2.1, a group of one picture that refers to the one before:
 *
 *     | N_S 0 |Y|G|-|-|-| width (16) | height (16) | N_G 1 | TID 0 |U|R 1|-|-| P_DIFF 1 |
 */
function writeStructure({ width, height }: Vp9Picture, out: Uint8Array, at: number): void {
  out[at] = 0x18;
  out[at + 1] = width >> 8;
  out[at + 2] = width;
  out[at + 3] = height >> 8;
  out[at + 4] = height;
  out[at + 5] = 1;
  out[at + 6] = 0x04;
  out[at + 7] = 1;
}
