import { BitReader } from "../bytes/bit-reader.ts";
import { ProtocolError } from "../flow/errors.ts";

/** `obu_type` (AV1 bitstream specification §6.2.2), as far as a relay tells them apart. */
export const obuType = { sequenceHeader: 1, temporalDelimiter: 2, frameHeader: 3, frame: 6, tileList: 8, padding: 15 };

/** What a sequence header says (§5.5.1). */
export interface Av1Sequence {
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
  bits.bits(4);
  const isStillPicture = bits.flag();
  if (isStillPicture) bits.bits(5);
  else skipOperatingPoints(bits);
  const widthBits = bits.bits(4) + 1;
  const heightBits = bits.bits(4) + 1;
  return { width: bits.bits(widthBits) + 1, height: bits.bits(heightBits) + 1, isStillPicture };
}

function skipOperatingPoints(bits: BitReader): void {
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
    if (bits.bits(5) > 7) bits.bits(1);
    if (delayBits !== undefined && bits.flag()) {
      bits.bits(delayBits);
      bits.bits(delayBits);
      bits.bits(1);
    }
    if (hasDisplayDelay && bits.flag()) bits.bits(4);
  }
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

/** Pixels of a temporal unit in the low overhead format that brings a sequence header; undefined for every other. */
export function av1FrameSize(unit: Uint8Array): { readonly width: number; readonly height: number } | undefined {
  for (let at = 0; at < unit.length;) {
    const header = unit[at]!;
    const size = readLeb128(unit, at + (header & 4 ? 2 : 1));
    if ((header & 2) === 0 || !size) return undefined;
    const end = size.end + size.value;
    if (((header >> 3) & 15) === obuType.sequenceHeader) {
      try {
        const { width, height } = parseAv1Sequence(unit.subarray(size.end, end));
        return { width, height };
      } catch {
        return undefined;
      }
    }
    at = end;
  }
  return undefined;
}
