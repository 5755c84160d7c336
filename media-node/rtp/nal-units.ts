import { forEachNal } from "../codecs/annex-b.ts";

/** A NAL unit in a buffer, its header included. */
export interface NalBounds {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

/** The NAL units of an access unit that `isWanted` by the first header byte, without copying. */
export function nalBoundsOf(data: Uint8Array, isWanted: (firstByte: number) => boolean): NalBounds[] {
  const nals: NalBounds[] = [];
  forEachNal(data, (start, end) => {
    if (isWanted(data[start]!)) nals.push({ bytes: data, start, end });
  });
  return nals;
}

export function lengthOf({ start, end }: NalBounds): number {
  return end - start;
}

/** Whole buffer as one NAL unit. */
export function boundsOf(bytes: Uint8Array): NalBounds {
  return { bytes, start: 0, end: bytes.length };
}

export function copyOf({ bytes, start, end }: NalBounds): Uint8Array {
  return bytes.slice(start, end);
}

/** Size of the pieces when `total` bytes are cut into as few equal ones of at most `largest` as possible. */
export function equalPieceBytes(total: number, largest: number): number {
  return Math.ceil(total / Math.ceil(total / largest));
}

/**
 * How many NAL units from `first` on go into one aggregation packet: a run of those that `isAggregable`, each with its
 * 16-bit length; 1 when there is nothing to gain.
 */
export function aggregableRun(
  nals: readonly NalBounds[],
  first: number,
  options: {
    readonly headerBytes: number;
    readonly maxPayload: number;
    readonly isAggregable: (firstByte: number) => boolean;
  },
): number {
  let size = options.headerBytes;
  let end = first;
  for (; end < nals.length; end++) {
    const nal = nals[end]!;
    size += 2 + lengthOf(nal);
    if (size > options.maxPayload || !options.isAggregable(nal.bytes[nal.start]!)) break;
  }
  return Math.max(1, end - first);
}
