interface Job {
  /** Does a bit. @returns whether that was the last */
  readonly step: () => boolean;
}

/** Long work done a bit at a time, one bit in a turn of the loop however much there is to do; what came first, first. */
export class SlicedWork {
  readonly #yieldLoop: (next: () => void) => void;
  readonly #jobs: Job[] = [];
  #isPlanned = false;

  /** @param yieldLoop runs `next` when the loop had time for others */
  constructor(yieldLoop: (next: () => void) => void) {
    this.#yieldLoop = yieldLoop;
  }

  /** @returns what `work` returns; rejects with what it throws */
  do<T>(work: Generator<undefined, T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const step = (): boolean => {
      try {
        const { done, value } = work.next();
        if (done) resolve(value);
        return done === true;
      } catch (thrown) {
        reject(thrown);
        return true;
      }
    };
    this.#jobs.push({ step });
    this.#plan();
    return promise;
  }

  #plan(): void {
    if (this.#isPlanned || this.#jobs.length === 0) return;
    this.#isPlanned = true;
    this.#yieldLoop(() => {
      this.#isPlanned = false;
      if (this.#jobs[0]?.step()) this.#jobs.shift();
      this.#plan();
    });
  }
}
