import type { Clock, Timer } from "../time/clock.ts";

/** A request that is answered later. */
export interface HeldRequest {
  /** Whether it can be answered now. Cheap: asked after every part. */
  isReady(): boolean;
  /** Answers it. Called at most once; never after `forget`. */
  release(outcome: "ready" | "expired"): void;
  readonly address: string;
  /** The viewer's token, `""` when unknown. */
  readonly session: string;
}

export interface HoldLimits {
  readonly total: number;
  readonly perAddress: number;
  readonly perSession: number;
}

export interface HeldRequestsOptions {
  readonly clock: Clock;
  readonly limits: HoldLimits;
  /** Runs `next` when the loop had time for others. */
  readonly yieldLoop: (next: () => void) => void;
}

/** Answers written before others get a turn: about 2 ms of work. */
const sliceSize = 32;
/** How often limits of holding are looked at. */
const sweepMs = 250;

/** How many are held of one address or session. */
interface Count {
  held: number;
}

/** One request that is held, and who it counts for. */
interface Held {
  /** Undefined once it was answered or forgotten. */
  request: HeldRequest | undefined;
  readonly untilMs: number;
  readonly address: Count;
  readonly session: Count | undefined;
}

/** Requests that wait, of all streams: bounded, released in slices, forgotten when their client goes. */
export class HeldRequests {
  readonly #options: HeldRequestsOptions;
  /** By what they wait for; those that were forgotten meanwhile go at the next look. */
  readonly #groups = new Map<object, Held[]>();
  readonly #perAddress = new Map<string, Count>();
  readonly #perSession = new Map<string, Count>();
  readonly #dirty = new Set<object>();
  #ready: Held[] = [];
  #released = 0;
  #isReleasing = false;
  #isScanPlanned = false;
  #sweeper: Timer | undefined;
  #total = 0;
  #isClosed = false;

  constructor(options: HeldRequestsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#total;
  }

  /**
   * Keeps `request` until it is ready or `holdMs` are over.
   * @param group what it waits for: told by {@link progress}
   * @returns forgets the request; undefined when a limit is reached, or after {@link close}, and it was not taken
   */
  hold(group: object, request: HeldRequest, holdMs: number): (() => void) | undefined {
    const { limits, clock } = this.#options;
    if (this.#isClosed || this.#total >= limits.total) return undefined;
    const address = countIn(this.#perAddress, request.address);
    if (address.held >= limits.perAddress) return undefined;
    const session = request.session ? countIn(this.#perSession, request.session) : undefined;
    if (session && session.held >= limits.perSession) return undefined;
    const held: Held = { request, untilMs: clock.nowMs() + holdMs, address, session };
    const members = this.#groups.get(group);
    if (members) members.push(held);
    else this.#groups.set(group, [held]);
    this.#count(held, 1);
    this.#sweeper ??= clock.after(sweepMs, () => this.#sweep());
    return () => {
      if (held.request) this.#count(held, -1);
      held.request = undefined;
    };
  }

  /** Something that members of `group` wait for may have come. Many calls in one turn cost one look. */
  progress(group: object): void {
    if (!this.#groups.has(group)) return;
    this.#dirty.add(group);
    if (this.#isScanPlanned) return;
    this.#isScanPlanned = true;
    this.#options.yieldLoop(() => this.#scan());
  }

  /** Lets everyone go as expired, and stops. */
  close(): void {
    this.#isClosed = true;
    this.#sweeper?.cancel();
    const all = [...this.#groups.values(), this.#ready.splice(0)].flat();
    this.#groups.clear();
    for (const held of all) this.#release(held, "expired");
  }

  #scan(): void {
    this.#isScanPlanned = false;
    for (const group of this.#dirty) {
      this.#sift(group, ({ request }) => request!.isReady(), this.#ready);
    }
    this.#dirty.clear();
    if (!this.#isReleasing) this.#releaseSlice();
  }

  /** Moves those members of a group that fit; forgets those that were forgotten. */
  #sift(group: object, fits: (held: Held) => boolean, into: Held[]): void {
    const members = this.#groups.get(group) ?? [];
    let kept = 0;
    for (const held of members) {
      if (!held.request) continue;
      if (fits(held)) into.push(held);
      else members[kept++] = held;
    }
    members.length = kept;
    if (kept === 0) this.#groups.delete(group);
  }

  #releaseSlice(): void {
    const ready = this.#ready;
    const end = Math.min(ready.length, this.#released + sliceSize);
    while (this.#released < end) this.#release(ready[this.#released++]!, "ready");
    this.#isReleasing = end < ready.length;
    if (this.#isReleasing) this.#options.yieldLoop(() => this.#releaseSlice());
    else this.#ready = [];
    if (!this.#isReleasing) this.#released = 0;
  }

  #release(held: Held, outcome: "ready" | "expired"): void {
    const { request } = held;
    if (!request) return;
    held.request = undefined;
    this.#count(held, -1);
    request.release(outcome);
  }

  #sweep(): void {
    this.#sweeper = undefined;
    const nowMs = this.#options.clock.nowMs();
    const expired: Held[] = [];
    for (const group of this.#groups.keys()) this.#sift(group, ({ untilMs }) => untilMs <= nowMs, expired);
    for (const held of expired) this.#release(held, "expired");
    for (const counts of [this.#perAddress, this.#perSession]) {
      for (const [key, { held }] of counts) if (held === 0) counts.delete(key);
    }
    if (this.#total > 0) this.#sweeper = this.#options.clock.after(sweepMs, () => this.#sweep());
  }

  #count({ address, session }: Held, by: 1 | -1): void {
    this.#total += by;
    address.held += by;
    if (session) session.held += by;
  }
}

/** One that counts nobody stays until the next sweep: most who wait for a part soon wait for the next one. */
function countIn(counts: Map<string, Count>, key: string): Count {
  let count = counts.get(key);
  if (!count) counts.set(key, (count = { held: 0 }));
  return count;
}
