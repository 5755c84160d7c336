import { equalPieceBytes } from "./nal-units.ts";
import { copyBytes, rtpHeaderBytes, type PacketSlab } from "./packet-slab.ts";

const descriptorBytes = 4;

/**
 * VP8 into RTP (RFC 7741), frames cut into equal pieces without regard to partitions. Every frame has a 15-bit picture
 * id, by which receivers see what a lost packet belonged to.
 */
export class Vp8Packetizer {
  readonly clockRate = 90_000;
  readonly #maxPayload: number;
  #pictureId = 0;

  constructor(options: { readonly maxPacketBytes: number }) {
    this.#maxPayload = options.maxPacketBytes - rtpHeaderBytes - descriptorBytes;
  }

  /**
   * RFC 7741 §4.2:
   *
   *     |X|R|N|S|R| PID |I|L|T|K| RSV |M|      picture id      | piece of the frame …
   */
  packetize(data: Uint8Array, slab: PacketSlab): void {
    if (data.length === 0) return;
    const size = equalPieceBytes(data.length, this.#maxPayload);
    for (let at = 0; at < data.length; at += size) {
      const until = Math.min(at + size, data.length);
      const payload = slab.add(descriptorBytes + until - at);
      const out = slab.slab;
      out[payload] = 0x80 | (at === 0 ? 0x10 : 0);
      out[payload + 1] = 0x80;
      out[payload + 2] = 0x80 | (this.#pictureId >> 8);
      out[payload + 3] = this.#pictureId;
      copyBytes(data, at, until, out, payload + descriptorBytes);
    }
    this.#pictureId = (this.#pictureId + 1) & 0x7fff;
    slab.markLast();
  }
}
