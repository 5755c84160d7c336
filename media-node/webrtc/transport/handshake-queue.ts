import type { Clock } from "../../time/clock.ts";

/** A handshake costs about half a millisecond; between two turns of the loop live media gets its chance. */
const budgetMs = 2;
/** 200 joins at once are 600 datagrams; a client sends again what is dropped. */
const maxWaiting = 2048;
const maxBytes = 2 << 20;

/**
 * Handshake datagrams wait here and are worked off in slices, so that a flash crowd delays itself and not the viewers who
 * are watching.
 */
export class HandshakeQueue<To> {
  readonly #clock: Clock;
  readonly #work: (datagram: Uint8Array, to: To) => void;
  readonly #waiting: { readonly datagram: Uint8Array; readonly to: To }[] = [];
  #next = 0;
  #bytes = 0;
  #turn: NodeJS.Immediate | undefined;
  dropped = 0;

  /** @param work must not throw */
  constructor(clock: Clock, work: (datagram: Uint8Array, to: To) => void) {
    this.#clock = clock;
    this.#work = work;
  }

  get length(): number {
    return this.#waiting.length - this.#next;
  }

  /** Copies `datagram`. @returns whether there was room */
  push(datagram: Uint8Array, to: To): boolean {
    if (this.length >= maxWaiting || this.#bytes + datagram.length > maxBytes) {
      this.dropped++;
      return false;
    }
    this.#bytes += datagram.length;
    this.#waiting.push({ datagram: Uint8Array.prototype.slice.call(datagram), to });
    this.#turn ??= setImmediate(() => this.#slice());
    return true;
  }

  close(): void {
    clearImmediate(this.#turn);
    this.#waiting.length = this.#next = 0;
  }

  #slice(): void {
    this.#turn = undefined;
    const endMs = this.#clock.nowMs() + budgetMs;
    while (this.#next < this.#waiting.length) {
      const { datagram, to } = this.#waiting[this.#next++]!;
      this.#bytes -= datagram.length;
      this.#work(datagram, to);
      if (this.#clock.nowMs() >= endMs) break;
    }
    this.#waiting.splice(0, this.#next);
    this.#next = 0;
    if (this.#waiting.length > 0) this.#turn = setImmediate(() => this.#slice());
  }
}
