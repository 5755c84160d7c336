/** The same URL is not tried again sooner: whoever hangs up at once is not asked in a loop. */
const sameUrlMs = 1_000;

/** Which URL comes next: all of a list in turn, each once a round, whatever the list has become meanwhile. */
export class UrlRounds {
  readonly #triedMs: Map<string, number>;
  #given = new Set<string>();
  #last: string | undefined;
  #tries = 0;

  /**
   * @param triedMs when each URL was last tried, on the clock that never jumps; shared by the searches of one stream
   * @param last the URL that was in use or tried before, which comes last in the first round
   */
  constructor(triedMs: Map<string, number>, last?: string) {
    this.#triedMs = triedMs;
    this.#last = last;
  }

  /** Tries counted so far. */
  get tries(): number {
    return this.#tries;
  }

  /** The next URL of this round; undefined when all had their turn. */
  next(urls: readonly string[]): string | undefined {
    const start = this.#last === undefined ? 0 : urls.indexOf(this.#last) + 1;
    for (let offset = 0; offset < urls.length; offset++) {
      const url = urls[(start + offset) % urls.length]!;
      if (this.#given.has(url)) continue;
      this.#given.add(url);
      this.#last = url;
      return url;
    }
    return undefined;
  }

  /** Begins the next round. */
  again(): void {
    this.#given = new Set();
  }

  /** How long to wait before `url` is tried. */
  waitMs(url: string, nowMs: number): number {
    return Math.max(0, (this.#triedMs.get(url) ?? Number.NEGATIVE_INFINITY) + sameUrlMs - nowMs);
  }

  /** `url` is tried now. */
  count(url: string, nowMs: number): void {
    this.#tries++;
    // A plan that names other URLs each time must not pile up.
    if (this.#triedMs.size > 100) this.#triedMs.clear();
    this.#triedMs.set(url, nowMs);
  }
}
