import { BitReader } from "../bytes/bit-reader.ts";
import { ProtocolError } from "../flow/errors.ts";

/** `obu_type` (AV1 bitstream specification §6.2.2), as far as a relay tells them apart. */
export const obuType = { sequenceHeader: 1, temporalDelimiter: 2, frameHeader: 3, frame: 6, tileList: 8, padding: 15 };

/** What a sequence header says (§5.5.1). */
export interface Av1Sequence {
  /** `seq_profile`: 0 = Main, which is all that browsers decode. */
  readonly profile: number;
  /** `seq_level_idx` of the first operating point: 5 = level 3.1. */
  readonly level: number;
  /** `seq_tier` of the same: 0 = Main, 1 = High. */
  readonly tier: number;
  /** Pixels; frames may be smaller. */
  readonly width: number;
  readonly height: number;
  readonly isStillPicture: boolean;
}

/** How samples of the picture are stored (§5.5.2). */
export interface Av1Colour {
  readonly bitDepth: 8 | 10 | 12;
  readonly isMonochrome: boolean;
  /** 1: half as many of colour as of brightness. */
  readonly subsamplingX: number;
  readonly subsamplingY: number;
  readonly chromaSamplePosition: number;
}

/**
 * Reads the payload of a sequence header OBU.
 * @throws {ProtocolError} when it is cut short
 */
export function parseAv1Sequence(payload: Uint8Array): Av1Sequence {
  return readSequence(bitsOf(payload));
}

const bitsOf = (payload: Uint8Array): BitReader =>
  new BitReader(payload, () => new ProtocolError("AV1_TRUNCATED", "the AV1 sequence header ends early"));

function readSequence(bits: BitReader): Av1Sequence {
  const profile = bits.bits(3);
  // still_picture says what its tools are, reduced_still_picture_header what follows here.
  bits.bits(1);
  const isStillPicture = bits.flag();
  const { level, tier } = isStillPicture ? { level: bits.bits(5), tier: 0 } : readOperatingPoints(bits);
  const widthBits = bits.bits(4) + 1;
  const heightBits = bits.bits(4) + 1;
  return {
    profile,
    level,
    tier,
    width: bits.bits(widthBits) + 1,
    height: bits.bits(heightBits) + 1,
    isStillPicture,
  };
}

/**
 * Reads the same payload to its end.
 * @throws {ProtocolError} when it is cut short
 */
function parseWholeSequence(payload: Uint8Array): Av1Sequence & Av1Colour {
  const bits = bitsOf(payload);
  const sequence = readSequence(bits);
  skipTools(bits, sequence.isStillPicture);
  return { ...sequence, ...colourOf(bits, sequence.profile) };
}

/** From frame ids to loop restoration. */
function skipTools(bits: BitReader, isStillPicture: boolean): void {
  if (!isStillPicture && bits.flag()) bits.bits(7);
  bits.bits(3);
  if (!isStillPicture) {
    bits.bits(4);
    const hasOrderHint = bits.flag();
    if (hasOrderHint) bits.bits(2);
    // seq_choose_screen_content_tools: left to each frame, or one value for all.
    const canUseScreenTools = bits.flag() || bits.flag();
    // seq_choose_integer_mv, likewise.
    if (canUseScreenTools && !bits.flag()) bits.bits(1);
    if (hasOrderHint) bits.bits(3);
  }
  bits.bits(3);
}

/** Colour primaries, transfer and matrix of sRGB, which is never subsampled. */
const srgb = { primaries: 1, transfer: 13, matrix: 0 } as const;

function colourOf(bits: BitReader, profile: number): Av1Colour {
  const isDeep = bits.flag();
  const bitDepth = profile === 2 && isDeep && bits.flag() ? 12 : isDeep ? 10 : 8;
  const isMonochrome = profile !== 1 && bits.flag();
  const isDescribed = bits.flag();
  const [primaries, transfer, matrix] = isDescribed ? [bits.bits(8), bits.bits(8), bits.bits(8)] : [2, 2, 2];
  if (isMonochrome) return { bitDepth, isMonochrome, subsamplingX: 1, subsamplingY: 1, chromaSamplePosition: 0 };
  const full = { bitDepth, isMonochrome, subsamplingX: 0, subsamplingY: 0, chromaSamplePosition: 0 } as const;
  if (primaries === srgb.primaries && transfer === srgb.transfer && matrix === srgb.matrix) return full;
  bits.bits(1);
  if (profile === 1) return full;
  let [subsamplingX, subsamplingY] = profile === 0 ? [1, 1] : [1, 0];
  if (profile !== 0 && bitDepth === 12) {
    subsamplingX = bits.bits(1);
    subsamplingY = subsamplingX === 1 ? bits.bits(1) : 0;
  }
  const chromaSamplePosition = subsamplingX === 1 && subsamplingY === 1 ? bits.bits(2) : 0;
  return { ...full, subsamplingX, subsamplingY, chromaSamplePosition };
}

function readOperatingPoints(bits: BitReader): { readonly level: number; readonly tier: number } {
  let first: { readonly level: number; readonly tier: number } | undefined;
  let delayBits: number | undefined;
  if (bits.flag()) {
    bits.bits(32);
    bits.bits(32);
    if (bits.flag()) bits.unsignedGolomb();
    if (bits.flag()) {
      delayBits = bits.bits(5) + 1;
      bits.bits(32);
      bits.bits(10);
    }
  }
  const hasDisplayDelay = bits.flag();
  const points = bits.bits(5) + 1;
  for (let point = 0; point < points; point++) {
    bits.bits(12);
    const level = bits.bits(5);
    const tier = level > 7 ? bits.bits(1) : 0;
    first ??= { level, tier };
    if (delayBits !== undefined && bits.flag()) {
      bits.bits(delayBits);
      bits.bits(delayBits);
      bits.bits(1);
    }
    if (hasDisplayDelay && bits.flag()) bits.bits(4);
  }
  return first!;
}

/** Whether the payload of a frame or frame header OBU begins a key frame that is shown anew (§5.9.2). */
export function isAv1KeyFrame(payload: Uint8Array): boolean {
  // show_existing_frame, frame_type (2): 0 and KEY_FRAME.
  return payload.length > 0 && payload[0]! >> 5 === 0;
}

/** Unsigned LEB128 (§4.10.5) at `at`, and where it ends; undefined when it is cut short or over 32 bits. */
export function readLeb128(
  bytes: Uint8Array,
  at: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let index = 0; index < 8; index++) {
    const byte = bytes[at + index];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (index * 7);
    if (byte < 0x80) return value < 2 ** 32 ? { value, end: at + index + 1 } : undefined;
  }
  return undefined;
}

/** Inverse of {@link readLeb128}, in as few bytes as possible. */
export function serializeLeb128(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Uint8Array.from(bytes);
}

/** An OBU in a buffer (§5.3): its header of one or two bytes, its size field, then its payload. */
export interface ObuBounds {
  readonly type: number;
  readonly start: number;
  readonly headerLength: number;
  readonly payloadStart: number;
  readonly end: number;
}

/** The OBUs of a temporal unit in the low overhead format; what is cut short or has no size ends the list. */
export function obusOf(unit: Uint8Array): ObuBounds[] {
  const obus: ObuBounds[] = [];
  for (let start = 0; start < unit.length;) {
    const header = unit[start]!;
    const headerLength = header & 4 ? 2 : 1;
    const size = readLeb128(unit, start + headerLength);
    if (header >= 0x80 || (header & 2) === 0 || !size || size.end + size.value > unit.length) break;
    const end = size.end + size.value;
    obus.push({ type: (header >> 3) & 15, start, headerLength, payloadStart: size.end, end });
    start = end;
  }
  return obus;
}

/** What a temporal unit in the low overhead format says of its sequence; undefined when it brings no sequence header. */
export function av1SequenceOf(unit: Uint8Array): Av1Sequence | undefined {
  const found = obusOf(unit).find(({ type }) => type === obuType.sequenceHeader);
  if (!found) return undefined;
  try {
    return parseAv1Sequence(unit.subarray(found.payloadStart, found.end));
  } catch {
    return undefined;
  }
}

/** Whether decoding can start with this temporal unit: a sequence header, then a key frame. */
export function startsAv1Decoding(unit: Uint8Array): boolean {
  let hasSequence = false;
  for (const { type, payloadStart, end } of obusOf(unit)) {
    if (type === obuType.sequenceHeader) hasSequence = true;
    if (type === obuType.frame || type === obuType.frameHeader) {
      return hasSequence && isAv1KeyFrame(unit.subarray(payloadStart, end));
    }
  }
  return false;
}

/** As ISO BMFF wants a temporal unit: without the delimiter that others begin it with. A view. */
export function withoutDelimiter(unit: Uint8Array): Uint8Array {
  // |0| type 2 (4) |-| has size |-|, and the size 0 (§5.6).
  return unit[0] === 0x12 && unit[1] === 0 ? unit.subarray(2) : unit;
}

/** Longest sequence header kept in a record; real ones have fewer than 40 bytes. */
const maxSequenceBytes = 1_024;

/**
 * The `av1C` record (AV1 in ISO BMFF §2.3.3) of a temporal unit that brings a sequence header:
 *
 *     |1| version 1 (7) | profile 3 | level 5 | tier | deep | 12 bits | mono | subX | subY | position 2 | 0 (8) | OBU …
 */
export function av1ConfigOf(unit: Uint8Array): Uint8Array | undefined {
  const found = wholeSequenceIn(unit);
  if (!found || found.obu.length > maxSequenceBytes) return undefined;
  const { profile, level, tier, bitDepth, isMonochrome, ...colour } = found.sequence;
  const third =
    (tier << 7) |
    (Number(bitDepth > 8) << 6) |
    (Number(bitDepth === 12) << 5) |
    (Number(isMonochrome) << 4) |
    (colour.subsamplingX << 3) |
    (colour.subsamplingY << 2) |
    colour.chromaSamplePosition;
  return Uint8Array.of(0x81, (profile << 5) | level, third, 0, ...found.obu);
}

/**
 * The sequence that an `av1C` record holds.
 * @throws {ProtocolError} when there is none in it
 */
export function parseAv1Config(record: Uint8Array): Av1Sequence & Av1Colour {
  const found = record[0] === 0x81 ? wholeSequenceIn(record.subarray(4, 4 + maxSequenceBytes)) : undefined;
  if (!found) throw new ProtocolError("AV1_CONFIG", "the AV1 configuration holds no sequence header");
  return found.sequence;
}

/** @returns `obu` as a view into `unit` */
function wholeSequenceIn(
  unit: Uint8Array,
): { readonly sequence: Av1Sequence & Av1Colour; readonly obu: Uint8Array } | undefined {
  const found = obusOf(unit).find(({ type }) => type === obuType.sequenceHeader);
  if (!found) return undefined;
  try {
    const sequence = parseWholeSequence(unit.subarray(found.payloadStart, found.end));
    return { sequence, obu: unit.subarray(found.start, found.end) };
  } catch {
    return undefined;
  }
}
