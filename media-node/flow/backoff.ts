/** How long to wait before each retry: doubling from `firstMs` to at most `capMs`, each shortened by up to half at random. */
export class Backoff {
  readonly #firstMs: number;
  readonly #capMs: number;
  readonly #random: () => number;
  #attempt = 0;

  /** @param random 0 ≤ x < 1; handed in so that a failing run replays */
  constructor(firstMs: number, capMs: number, random: () => number = Math.random) {
    this.#firstMs = firstMs;
    this.#capMs = capMs;
    this.#random = random;
  }

  /** Milliseconds to wait now; grows with every call until {@link reset}. */
  next(): number {
    const fullMs = Math.min(this.#capMs, this.#firstMs * 2 ** Math.min(this.#attempt++, 30));
    return fullMs * (1 - this.#random() / 2);
  }

  reset(): void {
    this.#attempt = 0;
  }
}
