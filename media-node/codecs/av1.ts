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

/**
 * Reads the payload of a sequence header OBU.
 * @throws {ProtocolError} when it is cut short
 */
export function parseAv1Sequence(payload: Uint8Array): Av1Sequence {
  const bits = new BitReader(payload, () => new ProtocolError("AV1_TRUNCATED", "the AV1 sequence header ends early"));
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
