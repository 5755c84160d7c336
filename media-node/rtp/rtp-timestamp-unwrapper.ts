/** Extends 32-bit RTP timestamps to safe integers that go on past the wrap, in either direction. */
export class RtpTimestampUnwrapper {
  #last: number | undefined;

  /** The value nearest to the previous one that equals `timestamp` modulo 2³². */
  unwrap(timestamp: number): number {
    this.#last = this.peek(timestamp);
    return this.#last;
  }

  /** Like {@link unwrap}, without moving on. */
  peek(timestamp: number): number {
    if (this.#last === undefined) return timestamp >>> 0;
    return this.#last + ((timestamp - this.#last) | 0);
  }

  reset(): void {
    this.#last = undefined;
  }
}
