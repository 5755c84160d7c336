import { isAv1KeyFrame, obusOf, obuType, type ObuBounds } from "../codecs/av1.ts";
import { copyBytes, rtpHeaderBytes, type PacketSlab } from "./packet-slab.ts";

/** One OBU as the payload format carries it: without its size field. */
interface Element extends ObuBounds {
  readonly bytes: Uint8Array;
  /** Header and payload. */
  readonly length: number;
}

/** Bytes `from ≤ i < to` of an element. */
interface Piece {
  readonly element: Element;
  readonly from: number;
  readonly to: number;
}

/** `W` counts up to three elements; the last of them needs no length. */
const maxElements = 3;
/** A shorter beginning of an OBU at the end of a packet is not worth its length field. */
const minPieceBytes = 16;
/** AOM's RTP payload format §5: not to be sent, or of no use to a receiver. */
const unsentTypes: readonly number[] = [obuType.temporalDelimiter, obuType.tileList, obuType.padding];

/**
 * AV1 into RTP (AOM "RTP Payload Format For AV1" v1.0): OBUs without sizes and delimiters, small ones together, large ones
 * in pieces, the marker on the last packet of the temporal unit. A sequence header stands in front of every key frame,
 * an earlier one when the bitstream lacks it.
 */
export class Av1Packetizer {
  readonly clockRate = 90_000;
  readonly #maxPayload: number;
  #sequence: Element | undefined;

  constructor(options: { readonly maxPacketBytes: number }) {
    this.#maxPayload = options.maxPacketBytes - rtpHeaderBytes;
  }

  /** @param data a temporal unit in the low overhead format: each OBU with its size */
  packetize(data: Uint8Array, slab: PacketSlab): void {
    const sent = obusOf(data).filter(({ type }) => !unsentTypes.includes(type));
    const elements = sent.map((obu) => elementOf(data, obu));
    const sequence = elements.find(({ type }) => type === obuType.sequenceHeader);
    if (sequence) this.#sequence = copyOf(sequence);
    const startsSequence = isKeyUnit(elements);
    if (startsSequence && !sequence && this.#sequence) elements.unshift(this.#sequence);
    this.#cut(elements, startsSequence, slab);
    slab.markLast();
  }

  #cut(elements: readonly Element[], startsSequence: boolean, slab: PacketSlab): void {
    let pieces: Piece[] = [];
    let used = 1;
    let flags = startsSequence ? bit.newSequence : 0;
    const flush = (isContinued: boolean): void => {
      write(pieces, flags | (isContinued ? bit.goesOn : 0), slab);
      flags = isContinued ? bit.continues : 0;
      pieces = [];
      used = 1;
    };
    for (const element of elements) {
      for (let from = 0; from < element.length;) {
        const left = element.length - from;
        const room = this.#maxPayload - used - lengthBytes(pieces.at(-1));
        if (pieces.length > 0 && (pieces.length === maxElements || room < Math.min(left, minPieceBytes))) {
          flush(false);
          continue;
        }
        const to = from + Math.min(left, room);
        used += lengthBytes(pieces.at(-1)) + to - from;
        pieces.push({ element, from, to });
        from = to;
        if (from < element.length) flush(true);
      }
    }
    if (pieces.length > 0) flush(false);
  }
}

const bit = { continues: 0x80, goesOn: 0x40, newSequence: 0x08 };

/**
 * §4.4:
 *
 *     |Z|Y| W |N|-|-|-| length 1 | element 1 | length 2 | element 2 | … | last element |
 */
function write(pieces: readonly Piece[], flags: number, slab: PacketSlab): void {
  const last = pieces.length - 1;
  const bytes = pieces.reduce((sum, piece, i) => sum + lengthOf(piece) + (i < last ? lengthBytes(piece) : 0), 1);
  let at = slab.add(bytes);
  const out = slab.slab;
  out[at++] = flags | (pieces.length << 4);
  for (const [i, piece] of pieces.entries()) {
    if (i < last) {
      let rest = lengthOf(piece);
      for (; rest > 0x7f; rest >>= 7) out[at++] = (rest & 0x7f) | 0x80;
      out[at++] = rest;
    }
    copyPiece(piece, out, at);
    at += lengthOf(piece);
  }
}

function copyPiece({ element, from, to }: Piece, out: Uint8Array, at: number): void {
  const { bytes, start, headerLength, payloadStart } = element;
  // has_size_field is cleared.
  for (let i = from; i < Math.min(to, headerLength); i++) out[at++] = i === 0 ? bytes[start]! & ~2 : bytes[start + i]!;
  const skipped = payloadStart - headerLength;
  copyBytes(bytes, skipped + Math.max(from, headerLength), skipped + Math.max(to, headerLength), out, at);
}

function elementOf(bytes: Uint8Array, obu: ObuBounds): Element {
  return { ...obu, bytes, length: obu.headerLength + obu.end - obu.payloadStart };
}

function copyOf({ bytes, start, end, ...rest }: Element): Element {
  const payloadStart = rest.payloadStart - start;
  return { ...rest, bytes: bytes.slice(start, end), start: 0, end: end - start, payloadStart };
}

/** Whether a coded video sequence begins with this unit. */
function isKeyUnit(elements: readonly Element[]): boolean {
  const frame = elements.find(({ type }) => type === obuType.frame || type === obuType.frameHeader);
  return frame !== undefined && isAv1KeyFrame(frame.bytes.subarray(frame.payloadStart, frame.end));
}

const lengthOf = ({ from, to }: Piece): number => to - from;

/** Bytes of the LEB128 that a piece needs once another follows it. */
function lengthBytes(piece: Piece | undefined): number {
  if (!piece) return 0;
  const length = lengthOf(piece);
  return length < 0x80 ? 1 : length < 0x4000 ? 2 : 3;
}
