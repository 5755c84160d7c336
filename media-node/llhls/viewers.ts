/** A viewer counts until this long after the last request. */
const presentMs = 10_000;
/** Viewers remembered per stream; more are served but not counted one by one. */
const maxRemembered = 100_000;

/** Who watches one stream on this node, by session token. */
export class Viewers {
  readonly #seenMs = new Map<string, number>();

  /** True when this token was here lately, and so was checked already. */
  has(token: string): boolean {
    return this.#seenMs.has(token);
  }

  saw(token: string, nowMs: number): void {
    if (this.#seenMs.has(token) || this.#seenMs.size < maxRemembered) this.#seenMs.set(token, nowMs);
  }

  /** Forgets who is gone. */
  count(nowMs: number): number {
    for (const [token, seenMs] of this.#seenMs) if (nowMs - seenMs > presentMs) this.#seenMs.delete(token);
    return this.#seenMs.size;
  }
}
