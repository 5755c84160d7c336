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

/** Requests that wait, of all streams: bounded, released in slices, forgotten when their client goes. */
export class HeldRequests {
  readonly #options: HeldRequestsOptions;
  readonly #groups = new Map<object, Map<HeldRequest, number>>();
  readonly #perAddress = new Map<string, number>();
  readonly #perSession = new Map<string, number>();
  readonly #dirty = new Set<object>();
  #ready: HeldRequest[] = [];
  #isReleasing = false;
  #isScanPlanned = false;
  #sweeper: Timer | undefined;
  #total = 0;

  constructor(options: HeldRequestsOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#total;
  }

  /**
   * Keeps `request` until it is ready or `holdMs` are over.
   * @param group what it waits for: told by {@link progress}
   * @returns forgets the request; undefined when a limit is reached and it was not taken
   */
  hold(group: object, request: HeldRequest, holdMs: number): (() => void) | undefined {
    const { limits, clock } = this.#options;
    if (this.#total >= limits.total) return undefined;
    if ((this.#perAddress.get(request.address) ?? 0) >= limits.perAddress) return undefined;
    if (request.session && (this.#perSession.get(request.session) ?? 0) >= limits.perSession) return undefined;
    const members = this.#groups.get(group) ?? new Map<HeldRequest, number>();
    this.#groups.set(group, members);
    members.set(request, clock.nowMs() + holdMs);
    this.#count(request, 1);
    this.#sweeper ??= clock.after(sweepMs, () => this.#sweep());
    return () => {
      if (this.#take(group, request)) return;
      const index = this.#ready.indexOf(request);
      if (index >= 0) this.#ready.splice(index, 1);
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
    this.#sweeper?.cancel();
    for (const [group, members] of this.#groups) {
      for (const request of members.keys()) if (this.#take(group, request)) request.release("expired");
    }
    for (const request of this.#ready.splice(0)) request.release("expired");
  }

  #scan(): void {
    this.#isScanPlanned = false;
    for (const group of this.#dirty) {
      for (const request of this.#groups.get(group)?.keys() ?? []) {
        if (request.isReady() && this.#take(group, request)) this.#ready.push(request);
      }
    }
    this.#dirty.clear();
    if (!this.#isReleasing) this.#releaseSlice();
  }

  #releaseSlice(): void {
    const slice = this.#ready.splice(0, sliceSize);
    for (const request of slice) request.release("ready");
    this.#isReleasing = this.#ready.length > 0;
    if (this.#isReleasing) this.#options.yieldLoop(() => this.#releaseSlice());
  }

  #sweep(): void {
    this.#sweeper = undefined;
    const nowMs = this.#options.clock.nowMs();
    for (const [group, members] of this.#groups) {
      for (const [request, untilMs] of members) {
        if (untilMs <= nowMs && this.#take(group, request)) request.release("expired");
      }
    }
    if (this.#total > 0) this.#sweeper = this.#options.clock.after(sweepMs, () => this.#sweep());
  }

  #take(group: object, request: HeldRequest): boolean {
    const members = this.#groups.get(group);
    if (!members?.delete(request)) return false;
    if (members.size === 0) this.#groups.delete(group);
    this.#count(request, -1);
    return true;
  }

  #count({ address, session }: HeldRequest, by: 1 | -1): void {
    this.#total += by;
    addTo(this.#perAddress, address, by);
    if (session) addTo(this.#perSession, session, by);
  }
}

function addTo(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
