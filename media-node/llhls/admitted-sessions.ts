import type { Admitted } from "../core/guest.ts";
import { every, type Clock, type Timer } from "../time/clock.ts";

const sweepMs = 1_000;
/** More are served, and their end is told at once. */
const maxSessions = 100_000;

interface Session {
  readonly admission: Admitted;
  seenMs: number;
}

/** Viewers whose end somebody wants to know: LL-HLS has no goodbye, so it is when they stop asking, or may not go on. */
export class AdmittedSessions {
  readonly #clock: Clock;
  readonly #silentMs: number;
  readonly #sessions = new Map<string, Session>();
  readonly #begun = new WeakSet<Admitted>();
  readonly #sweeper: Timer;

  /** @param silentMs who asks for no playlist for this long is gone */
  constructor(clock: Clock, silentMs: number) {
    this.#clock = clock;
    this.#silentMs = silentMs;
    this.#sweeper = every(clock, sweepMs, () => this.#sweep());
  }

  /** The viewer who was admitted asks under this token from now on. */
  begin(token: string, admission: Admitted): void {
    if (!admission.onEnd || this.#sessions.size >= maxSessions) return;
    this.#begun.add(admission);
    this.#sessions.get(token)?.admission.onEnd?.();
    this.#sessions.set(token, { admission, seenMs: this.#clock.nowMs() });
  }

  /** Ends an admission of which nothing came. */
  settle(admission: Admitted): void {
    if (!this.#begun.has(admission)) admission.onEnd?.();
  }

  saw(token: string): void {
    if (this.#sessions.size === 0) return;
    const session = this.#sessions.get(token);
    if (session) session.seenMs = this.#clock.nowMs();
  }

  close(): void {
    this.#sweeper.cancel();
    for (const { admission } of this.#sessions.values()) admission.onEnd?.();
    this.#sessions.clear();
  }

  #sweep(): void {
    const [nowMs, wallMs] = [this.#clock.nowMs(), this.#clock.wallMs()];
    for (const [token, { admission, seenMs }] of this.#sessions) {
      if (nowMs - seenMs <= this.#silentMs && wallMs < (admission.endsAtMs ?? Number.POSITIVE_INFINITY)) continue;
      this.#sessions.delete(token);
      admission.onEnd?.();
    }
  }
}
