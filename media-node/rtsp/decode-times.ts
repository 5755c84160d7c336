/** Deeper reordering than any H.264 or H.265 level allows. */
const maxDepth = 16;

/**
 * Gives pictures that come in decoding order the decoding times RTP does not carry: the presentation times, sorted and
 * delayed by as many pictures as the encoder reorders. Without reordering, decoding time is presentation time.
 */
export class DecodeTimes {
  #depth: number;
  /** Ascending presentation times of the last `#depth` pictures and more, while they fill up. */
  #recent: number[] = [];
  #last: number | undefined;
  readonly #frameTicks: number;

  /**
   * @param depth pictures reordered, where the encoder says so; found out otherwise
   * @param frameTicks an estimate of one picture's duration, used for the first pictures only
   */
  constructor(depth: number | undefined, frameTicks: number) {
    this.#depth = Math.min(maxDepth, depth ?? 0);
    this.#frameTicks = Math.max(1, Math.round(frameTicks));
  }

  /** The encoder says that it reorders this much. */
  deepen(depth: number | undefined): void {
    this.#depth = Math.min(maxDepth, Math.max(this.#depth, depth ?? 0));
  }

  /** Strictly greater than every time given out before. */
  next(pts: number): number {
    const dts = Math.max(this.#nominal(pts), (this.#last ?? Number.NEGATIVE_INFINITY) + 1);
    this.#last = dts;
    return dts;
  }

  #nominal(pts: number): number {
    const recent = this.#recent;
    let at = recent.length;
    while (at > 0 && recent[at - 1]! > pts) at--;
    // Pictures shown after this one but decoded before it: how deep this encoder reorders.
    const overtaken = recent.length - at;
    if (overtaken > this.#depth) this.#depth = Math.min(maxDepth, overtaken);
    recent.splice(at, 0, pts);
    if (recent.length <= this.#depth) return recent[0]! - (this.#depth + 1 - recent.length) * this.#frameTicks;
    while (recent.length > this.#depth + 1) recent.shift();
    return recent[0]!;
  }
}
