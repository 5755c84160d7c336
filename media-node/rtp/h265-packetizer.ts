import { h265NalType, h265NalTypeOf, isIrap, parseHvcConfig } from "../codecs/h265.ts";
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

const aggregation = 48;
const fragmentation = 49;
const endOfSequence = 36;
const filler = 38;
const prefixSei = 39;

/**
 * H.265 into RTP (RFC 7798, one stream in one session, no DONL): parameter sets and SEI aggregated, large NAL units in
 * equal fragments, the marker on the last packet of the access unit. VPS, SPS and PPS stand in front of every picture
 * that decoding can start at, from the track's hvcC or an earlier picture when the bitstream lacks them.
 */
export class H265Packetizer {
  readonly clockRate = 90_000;
  readonly #maxPayload: number;
  /** VPS, SPS and PPS by type. */
  readonly #sets = new Map<number, readonly Uint8Array[]>();

  /** @throws {ProtocolError} when `decoderConfig` is no hvcC record */
  constructor(options: { readonly maxPacketBytes: number; readonly decoderConfig?: Uint8Array | undefined }) {
    this.#maxPayload = options.maxPacketBytes - rtpHeaderBytes;
    if (!options.decoderConfig) return;
    for (const { nalType, nals } of parseHvcConfig(options.decoderConfig).arrays) {
      if (isParameterSet(nalType))
        this.#sets.set(
          nalType,
          nals.map((nal) => nal.slice()),
        );
    }
  }

  packetize(data: Uint8Array, slab: PacketSlab): void {
    const nals = this.#withParameterSets(nalBoundsOf(data, isSendable));
    for (let i = 0; i < nals.length;) {
      const run = aggregableRun(nals, i, { headerBytes: 2, maxPayload: this.#maxPayload, isAggregable });
      if (run > 1) aggregate(nals.slice(i, i + run), slab);
      else this.#single(nals[i]!, slab);
      i += run;
    }
    slab.markLast();
  }

  #withParameterSets(nals: NalBounds[]): NalBounds[] {
    const inBand = nals.filter((nal) => isParameterSet(typeOf(nal)));
    for (const type of parameterSetTypes) {
      const seen = inBand.filter((nal) => typeOf(nal) === type);
      if (seen.length > 0) this.#sets.set(type, seen.map(copyOf));
    }
    const isComplete = parameterSetTypes.every((type) => inBand.some((nal) => typeOf(nal) === type));
    if (isComplete || !nals.some((nal) => isIrap(typeOf(nal)))) return nals;
    const sets = parameterSetTypes.flatMap((type) => this.#sets.get(type) ?? []);
    return [...sets.map(boundsOf), ...nals.filter((nal) => !isParameterSet(typeOf(nal)))];
  }

  #single(nal: NalBounds, slab: PacketSlab): void {
    if (lengthOf(nal) <= this.#maxPayload) slab.addCopy(nal.bytes, nal.start, nal.end);
    else this.#fragment(nal, slab);
  }

  /**
   * RFC 7798 §4.4.3, all of one size but the last:
   *
   *     |F|  49   | layer id | TID |S|E|  type   | fragment …
   */
  #fragment({ bytes, start, end }: NalBounds, slab: PacketSlab): void {
    const first = bytes[start]!;
    const size = equalPieceBytes(end - start - 2, this.#maxPayload - 3);
    for (let at = start + 2; at < end; at += size) {
      const until = Math.min(at + size, end);
      const payload = slab.add(3 + until - at);
      const out = slab.slab;
      out[payload] = (first & 0x81) | (fragmentation << 1);
      out[payload + 1] = bytes[start + 1]!;
      out[payload + 2] = (at === start + 2 ? 0x80 : 0) | (until === end ? 0x40 : 0) | h265NalTypeOf(first);
      copyBytes(bytes, at, until, out, payload + 3);
    }
  }
}

/**
 * RFC 7798 §4.4.2; layer and temporal id are the lowest of the units inside.
 *
 *     |F|  48   | layer id | TID | size 1 (16) | NAL unit 1 | size 2 (16) | NAL unit 2 | …
 */
function aggregate(nals: readonly NalBounds[], slab: PacketSlab): void {
  let at = slab.add(nals.reduce((sum, nal) => sum + 2 + lengthOf(nal), 2));
  const out = slab.slab;
  const lowest = Math.min(...nals.map(({ bytes, start }) => ((bytes[start]! & 1) << 8) | bytes[start + 1]!));
  out[at++] = (aggregation << 1) | (lowest >> 8);
  out[at++] = lowest;
  for (const nal of nals) {
    out[at++] = lengthOf(nal) >> 8;
    out[at++] = lengthOf(nal);
    copyBytes(nal.bytes, nal.start, nal.end, out, at);
    at += lengthOf(nal);
  }
}

const parameterSetTypes = [h265NalType.vps, h265NalType.sps, h265NalType.pps];

function isParameterSet(type: number): boolean {
  return type >= h265NalType.vps && type <= h265NalType.pps;
}

/** Everything but delimiters, end marks, filler and types that RTP uses for itself (48…63). */
function isSendable(firstByte: number): boolean {
  const type = h265NalTypeOf(firstByte);
  return type < aggregation && type !== h265NalType.aud && (type < endOfSequence || type > filler);
}

function isAggregable(firstByte: number): boolean {
  const type = h265NalTypeOf(firstByte);
  return isParameterSet(type) || type === prefixSei;
}

function typeOf(nal: NalBounds): number {
  return h265NalTypeOf(nal.bytes[nal.start]!);
}
