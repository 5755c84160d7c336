import type { Clock } from "../time/clock.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Who comes alone, or with a few others, does not wait. */
const burst = 32;
const perSecond = 400;
/** Between two turns the loop is left to media and handshakes; where it is late, turns are too. */
const turnMs = 5;
const perTurn = 2;
/** Two and a half seconds of turns. */
const maxWaiting = 1_000;
/** One address leaves room for the others. */
const maxOfOne = maxWaiting / 2;

interface Waiting {
  readonly address: string;
  readonly settle: (isIn: boolean) => void;
}

/**
 * Lets viewers in one after another, so that a flash crowd delays itself and not those who are watching: a description, its
 * answer and a handshake are two milliseconds of work. Shared by all who take viewers in one thread.
 */
export class JoinQueue {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();
  readonly #ofAddress = new Map<string, number>();
  readonly #free: TokenBucket;
  #isTurnDue = false;
  /** Viewers who found no room to wait in. */
  refused = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#free = new TokenBucket(burst, clock.nowMs());
  }

  get length(): number {
    return this.#waiting.size;
  }

  /** Whether there is no room to wait for a viewer at `address`: to be asked before its request is worth any work. */
  isFull(address: string): boolean {
    const isFull = this.#waiting.size >= maxWaiting || (this.#ofAddress.get(address) ?? 0) >= maxOfOne;
    if (isFull) this.refused++;
    return isFull;
  }

  /** Waits for a turn. @returns false when there is no room to wait in, or `signal` was aborted meanwhile */
  turn(address: string, signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(false);
    if (this.#waiting.size === 0 && this.#available() >= 1) {
      this.#free.spend(1);
      return Promise.resolve(true);
    }
    if (this.isFull(address)) return Promise.resolve(false);
    return new Promise((resolve) => {
      const leave = (): void => settle(false);
      const settle = (isIn: boolean): void => {
        signal.removeEventListener("abort", leave);
        this.#waiting.delete(waiting);
        this.#count(address, -1);
        resolve(isIn);
      };
      const waiting = { address, settle };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.add(waiting);
      this.#count(address, 1);
      this.#planTurn();
    });
  }

  #turn(): void {
    this.#isTurnDue = false;
    let left = Math.min(perTurn, this.#available());
    for (const { settle } of this.#waiting) {
      if (left-- < 1) break;
      this.#free.spend(1);
      settle(true);
    }
    if (this.#waiting.size > 0) this.#planTurn();
  }

  #planTurn(): void {
    if (this.#isTurnDue) return;
    this.#isTurnDue = true;
    this.#clock.after(turnMs, () => this.#turn());
  }

  #available(): number {
    return this.#free.available(perSecond * 8, burst, this.#clock.nowMs());
  }

  #count(address: string, change: 1 | -1): void {
    const count = (this.#ofAddress.get(address) ?? 0) + change;
    if (count > 0) this.#ofAddress.set(address, count);
    else this.#ofAddress.delete(address);
  }
}
