import { nalType, nalTypeOf, parseAvcConfig } from "../codecs/h264.ts";
import {
  aggregableRun,
  boundsOf,
  copyOf,
  equalPieceBytes,
  lengthOf,
  nalBoundsOf,
  type NalBounds,
} from "./nal-units.ts";
import { copyBytes, rtpHeaderBytes, type PacketSlab } from "./packet-slab.ts";

const stapA = 24;
const fuA = 28;

/**
 * H.264 into RTP, packetization mode 1 (RFC 6184): parameter sets and SEI aggregated in a STAP-A, large NAL units in
 * equal FU-A fragments, everything else one NAL unit a packet; the marker ends the access unit. SPS and PPS stand in
 * front of every IDR picture, from the track's avcC or an earlier picture when the bitstream lacks them.
 */
export class H264Packetizer {
  readonly clockRate = 90_000;
  readonly #maxPayload: number;
  #sps: readonly Uint8Array[] = [];
  #pps: readonly Uint8Array[] = [];

  /** @throws {ProtocolError} when `decoderConfig` is no avcC record */
  constructor(options: { readonly maxPacketBytes: number; readonly decoderConfig?: Uint8Array | undefined }) {
    this.#maxPayload = options.maxPacketBytes - rtpHeaderBytes;
    if (!options.decoderConfig) return;
    const config = parseAvcConfig(options.decoderConfig);
    this.#sps = config.sps.map((nal) => nal.slice());
    this.#pps = config.pps.map((nal) => nal.slice());
  }

  packetize(data: Uint8Array, slab: PacketSlab): void {
    const nals = this.#withParameterSets(nalBoundsOf(data, isSendable));
    for (let i = 0; i < nals.length;) {
      const run = aggregableRun(nals, i, { headerBytes: 1, maxPayload: this.#maxPayload, isAggregable });
      if (run > 1) this.#aggregate(nals, i, i + run, slab);
      else this.#single(nals[i]!, slab);
      i += run;
    }
    slab.markLast();
  }

  #withParameterSets(nals: NalBounds[]): NalBounds[] {
    const idr = nals.findIndex((nal) => typeOf(nal) === nalType.idr);
    const sps = nals.filter((nal) => typeOf(nal) === nalType.sps);
    const pps = nals.filter((nal) => typeOf(nal) === nalType.pps);
    if (sps.length > 0) this.#sps = sps.map(copyOf);
    if (pps.length > 0) this.#pps = pps.map(copyOf);
    if (idr < 0 || (sps.length > 0 && pps.length > 0)) return nals;
    const others = nals.filter((nal) => typeOf(nal) !== nalType.sps && typeOf(nal) !== nalType.pps);
    return [...this.#sps.map(boundsOf), ...this.#pps.map(boundsOf), ...others];
  }

  /**
   * STAP-A (RFC 6184 §5.7.1); F and NRI are the highest of the units inside.
   *
   *     |F|NRI| 24 | size 1 (16) | NAL unit 1 | size 2 (16) | NAL unit 2 | …
   */
  #aggregate(nals: readonly NalBounds[], from: number, to: number, slab: PacketSlab): void {
    let size = 1;
    let nri = 0;
    for (let i = from; i < to; i++) {
      size += 2 + lengthOf(nals[i]!);
      nri = Math.max(nri, nals[i]!.bytes[nals[i]!.start]! & 0x60);
    }
    let at = slab.add(size);
    const out = slab.slab;
    out[at++] = nri | stapA;
    for (let i = from; i < to; i++) {
      const { bytes, start, end } = nals[i]!;
      out[at++] = (end - start) >> 8;
      out[at++] = end - start;
      copyBytes(bytes, start, end, out, at);
      at += end - start;
    }
  }

  #single(nal: NalBounds, slab: PacketSlab): void {
    if (lengthOf(nal) <= this.#maxPayload) slab.addCopy(nal.bytes, nal.start, nal.end);
    else this.#fragment(nal, slab);
  }

  /**
   * FU-A (RFC 6184 §5.8), all of one size but the last, so that the kernel can cut them from one buffer.
   *
   *     |F|NRI| 28 |S|E|0| type | fragment …
   */
  #fragment({ bytes, start, end }: NalBounds, slab: PacketSlab): void {
    const header = bytes[start]!;
    const size = equalPieceBytes(end - start - 1, this.#maxPayload - 2);
    for (let at = start + 1; at < end; at += size) {
      const until = Math.min(at + size, end);
      const payload = slab.add(2 + until - at);
      slab.slab[payload] = (header & 0xe0) | fuA;
      slab.slab[payload + 1] = (at === start + 1 ? 0x80 : 0) | (until === end ? 0x40 : 0) | (header & 0x1f);
      copyBytes(bytes, at, until, slab.slab, payload + 2);
    }
  }
}

/** Everything but delimiters, filler, end marks and types that RTP uses for itself (24…31, and the reserved 0). */
function isSendable(firstByte: number): boolean {
  const type = nalTypeOf(firstByte);
  return type > 0 && type < stapA && (type < nalType.aud || type > nalType.filler);
}

function isAggregable(firstByte: number): boolean {
  const type = nalTypeOf(firstByte);
  return type === nalType.sps || type === nalType.pps || type === nalType.sei;
}

function typeOf(nal: NalBounds): number {
  return nalTypeOf(nal.bytes[nal.start]!);
}
