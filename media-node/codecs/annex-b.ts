/** Four zero-one bytes before each NAL unit (ITU-T H.264 Annex B). */
export const startCode = Uint8Array.of(0, 0, 0, 1);

/** How every start code ends, whether it has three bytes or four. */
const startCodeEnd = Buffer.of(0, 0, 1);

/**
 * Calls `visit` with the bounds of every NAL unit in an Annex B byte stream, start codes (3 or 4 bytes) and trailing
 * zeros excluded. Bytes before the first start code are ignored; empty units are skipped.
 */
export function forEachNal(bytes: Uint8Array, visit: (start: number, end: number) => void): void {
  // The engine's search passes over a picture's bytes many times faster than a loop here could.
  const { buffer, byteOffset, length } = bytes;
  const all = Buffer.isBuffer(bytes) ? bytes : Buffer.from(buffer, byteOffset, length);
  let found = all.indexOf(startCodeEnd);
  while (found >= 0) {
    const start = found + startCodeEnd.length;
    found = all.indexOf(startCodeEnd, start);
    visitTrimmed(bytes, start, found < 0 ? length : found, visit);
  }
}

function visitTrimmed(
  bytes: Uint8Array,
  start: number,
  end: number,
  visit: (start: number, end: number) => void,
): void {
  while (end > start && bytes[end - 1] === 0) end--;
  if (end > start) visit(start, end);
}

/** The NAL units of an Annex B byte stream, as views into it. */
export function splitAnnexB(bytes: Uint8Array): Uint8Array[] {
  const nals: Uint8Array[] = [];
  forEachNal(bytes, (start, end) => nals.push(bytes.subarray(start, end)));
  return nals;
}

/** Joins NAL units with 4-byte start codes. Inverse of {@link splitAnnexB}. */
export function joinAnnexB(nals: readonly Uint8Array[]): Uint8Array {
  const joined = new Uint8Array(nals.reduce((sum, nal) => sum + 4 + nal.length, 0));
  let at = 0;
  for (const nal of nals) {
    joined.set(startCode, at);
    joined.set(nal, at + 4);
    at += 4 + nal.length;
  }
  return joined;
}

/**
 * Visits the NAL units in front of the first slice (delimiter, parameter sets, SEI) without looking at the slices, which
 * are nearly all of an access unit's bytes.
 * @param isSlice tells by a unit's first byte whether it is a slice
 * @returns where the first slice's NAL unit begins; −1 when there is none
 */
export function forEachLeadingNal(
  bytes: Uint8Array,
  isSlice: (firstByte: number) => boolean,
  visit: (start: number, end: number) => void,
): number {
  let start = -1;
  for (let i = 2; i < bytes.length;) {
    const byte = bytes[i]!;
    if (byte > 1) i += 3;
    else if (byte === 1 && bytes[i - 1] === 0 && bytes[i - 2] === 0) {
      if (start >= 0) visitTrimmed(bytes, start, i - 2, visit);
      start = i + 1;
      if (start < bytes.length && isSlice(bytes[start]!)) return start;
      i += 3;
    } else i += 1;
  }
  if (start >= 0) visitTrimmed(bytes, start, bytes.length, visit);
  return -1;
}
