/** What the grid needs to know of a stream. */
export interface GridOrigin {
  readonly epochMs: number;
  readonly isEpochShared: boolean;
}

/** Ticks as milliseconds. Whole seconds are split off first: ticks since 1970 times 1000 leave the safe integers. */
export function ticksToMs(ticks: number, timescale: number): number {
  const seconds = Math.floor(ticks / timescale);
  return seconds * 1000 + ((ticks - seconds * timescale) * 1000) / timescale;
}

/**
 * Divides time into cells of equal length; the media sequence number of a segment is the number of the cell it begins
 * in. Depends on nothing but the stream's own time, so that every edge, whenever it joined, numbers alike
 * (docs/decisions/ll-hls-segments.md).
 */
export class SegmentGrid {
  readonly cellMs: number;
  readonly #originMs: number;

  constructor(cellMs: number, origin: GridOrigin) {
    this.cellMs = cellMs;
    // A guessed epoch differs from node to node, the stream's own timestamps do not.
    this.#originMs = origin.isEpochShared ? origin.epochMs : 0;
  }

  /** Number of the cell that holds this stream time. */
  cellAt(timeMs: number): number {
    return Math.floor((this.#originMs + timeMs) / this.cellMs);
  }

  /** Stream time at which a cell begins. */
  startOf(cell: number): number {
    return cell * this.cellMs - this.#originMs;
  }
}
