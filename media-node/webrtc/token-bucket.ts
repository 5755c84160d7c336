/** Lets bytes (or whatever else is counted) through at a rate, with room for a short burst; may be overdrawn once. */
export class TokenBucket {
  #tokens: number;
  #updatedMs: number;

  /** Starts full. */
  constructor(depthBytes: number, nowMs: number) {
    this.#tokens = depthBytes;
    this.#updatedMs = nowMs;
  }

  /** Bytes that may go now; not positive = wait. */
  available(bitsPerSecond: number, depthBytes: number, nowMs: number): number {
    const gained = ((nowMs - this.#updatedMs) * bitsPerSecond) / 8_000;
    this.#updatedMs = nowMs;
    this.#tokens = Math.min(depthBytes, this.#tokens + gained);
    return this.#tokens;
  }

  spend(bytes: number): void {
    this.#tokens -= bytes;
  }
}
