/** How often something took how long: counts by upper bound, in seconds. */
export class Histogram {
  readonly bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  /** @param bounds ascending; what is above the last is counted in the sum alone */
  constructor(bounds: readonly number[] = secondsBounds) {
    this.bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(seconds: number): void {
    this.#sum += seconds;
    this.#count++;
    const index = this.bounds.findIndex((bound) => seconds <= bound);
    if (index >= 0) this.#counts[index]!++;
  }

  get sum(): number {
    return this.#sum;
  }

  get count(): number {
    return this.#count;
  }

  /** For each bound how many took so long at most, as Prometheus counts. */
  get cumulative(): readonly number[] {
    let sum = 0;
    return this.#counts.map((count) => (sum += count));
  }
}

/** For what viewers wait for: promises lie at 300 ms, 1 s and 8 s. */
const secondsBounds: readonly number[] = [0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 4, 8];
