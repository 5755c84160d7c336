/** A measurement. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** How much `y` grows with `x`: the median of all pairs' slopes (Theil and Sen), which a few points far off do not move. 0 of fewer than two. */
export function slopeOf(points: readonly Point[]): number {
  const slopes = points
    .flatMap((a, index) => points.slice(index + 1).map((b) => (b.y - a.y) / (b.x - a.x)))
    .filter((slope) => Number.isFinite(slope))
    .toSorted((a, b) => a - b);
  const middle = slopes.length >> 1;
  if (slopes.length === 0) return 0;
  return slopes.length % 2 === 1 ? slopes[middle]! : (slopes[middle - 1]! + slopes[middle]!) / 2;
}
