import type { Clock, Timer } from "../time/clock.ts";

/** How many new streams may be asked of upstreams. Only names that turn out not to exist cost anything for long. */
export interface PullLimits {
  /** Connects at the same time, and of them for one client. */
  readonly opening: number;
  readonly openingPerClient: number;
  /** Connects that came to nothing: so many at once, then so many a second. */
  readonly burst: number;
  readonly perSecond: number;
  /** The same for one client. */
  readonly clientBurst: number;
  readonly clientPerSecond: number;
  /** Names that wait for their turn, and how long. */
  readonly waiting: number;
  readonly waitMs: number;
}

/**
 * At most 50 connects in any second for names that nobody has: what fails is charged when it fails, so 40 at once cost
 * more than a second.
 */
export const defaultPullLimits: PullLimits = {
  opening: 40,
  openingPerClient: 20,
  burst: 5,
  perSecond: 30,
  clientBurst: 15,
  clientPerSecond: 10,
  waiting: 256,
  waitMs: 2_000,
};

/** Leave to open a stream. Call `settle` once it is known; what was found costs nothing. */
export interface PullLeave {
  settle(isFound: boolean): void;
}
/** `client`: this one asks too much; `busy`: too many streams are being opened or looked for. */
export type PullRefusal = { readonly refused: "client" | "busy" };

interface Account {
  tokens: number;
  updatedMs: number;
  opening: number;
}

interface Waiter {
  readonly isLikely: boolean;
  readonly connects: number;
  readonly client: Account | undefined;
  readonly resolve: (answer: PullLeave | PullRefusal) => void;
  readonly untilMs: number;
}

const maxClients = 10_000;

/** Keeps requests for names that do not exist from becoming connects to upstreams, whoever asks and however often. */
export class PullBudget {
  readonly #clock: Clock;
  readonly #limits: PullLimits;
  readonly #all: Account;
  readonly #clients = new Map<string, Account>();
  readonly #waiters: Waiter[] = [];
  #timer: Timer | undefined;

  constructor(clock: Clock, limits: Partial<PullLimits> = {}) {
    this.#clock = clock;
    this.#limits = { ...defaultPullLimits, ...limits };
    this.#all = { tokens: this.#limits.burst, updatedMs: clock.nowMs(), opening: 0 };
  }

  /** Clients that are remembered. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /**
   * Asks for leave to open a stream, and waits for it a little while there are too many.
   * @param connects how many it takes to find out that there is none
   * @param client whoever asks, for its own share; undefined is this node itself
   * @param isLikely the stream was here before, or a registry names it: it goes before those that may be nonsense
   */
  enter(connects: number, client: string | undefined, isLikely = false): Promise<PullLeave | PullRefusal> {
    const { openingPerClient, waiting, waitMs } = this.#limits;
    const account = client === undefined ? undefined : this.#accountOf(client);
    if (account && !isLikely && (account.tokens < 1 || account.opening >= openingPerClient)) {
      return Promise.resolve({ refused: "client" });
    }
    if (this.#waiters.length >= waiting && !isLikely) return Promise.resolve({ refused: "busy" });
    return new Promise((resolve) => {
      // From here on it counts for its client, or one client could fill the whole queue.
      if (account) account.opening += connects;
      const waiter = { isLikely, connects, client: account, resolve, untilMs: this.#clock.nowMs() + waitMs };
      if (isLikely) this.#waiters.unshift(waiter);
      else this.#waiters.push(waiter);
      this.#admit();
    });
  }

  /** Whether a client has asked for so much that does not exist that it is not to be listened to now. */
  isSpent(client: string): boolean {
    return this.#accountOf(client).tokens < 1;
  }

  /** A client's question had to be looked up, and was nonsense. */
  charge(client: string): void {
    this.#accountOf(client).tokens--;
  }

  /** Sends everybody away who waits. */
  close(): void {
    for (const waiter of this.#waiters.splice(0)) this.#refuse(waiter);
    this.#timer?.cancel();
  }

  #admit(): void {
    const { perSecond, burst, opening } = this.#limits;
    this.#timer?.cancel();
    this.#refill(this.#all, perSecond, burst);
    const nowMs = this.#clock.nowMs();
    for (const waiter of this.#waiters.filter(({ untilMs }) => untilMs <= nowMs)) {
      this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
      this.#refuse(waiter);
    }
    while (this.#waiters[0] && (this.#all.tokens >= 1 || this.#waiters[0].isLikely)) {
      const { connects } = this.#waiters[0];
      if (this.#all.opening > 0 && this.#all.opening + connects > opening) break;
      this.#let(this.#waiters.shift()!);
    }
    const [first] = this.#waiters;
    if (!first) return;
    const refillMs = this.#all.tokens >= 1 ? Number.POSITIVE_INFINITY : ((1 - this.#all.tokens) * 1000) / perSecond;
    const delayMs = Math.max(1, Math.min(refillMs, first.untilMs - nowMs));
    this.#timer = this.#clock.after(delayMs, () => this.#admit());
  }

  #let({ connects, client, resolve }: Waiter): void {
    this.#all.opening += connects;
    let isSettled = false;
    const settle = (isFound: boolean): void => {
      if (isSettled) return;
      isSettled = true;
      this.#all.opening -= connects;
      if (client) client.opening -= connects;
      if (!isFound) {
        this.#all.tokens -= connects;
        if (client) client.tokens -= connects;
      }
      this.#admit();
    };
    resolve({ settle });
  }

  #refuse({ connects, client, resolve }: Waiter): void {
    if (client) client.opening -= connects;
    resolve({ refused: "busy" });
  }

  #refill(account: Account, perSecond: number, burst: number): void {
    const nowMs = this.#clock.nowMs();
    account.tokens = Math.min(burst, account.tokens + ((nowMs - account.updatedMs) * perSecond) / 1000);
    account.updatedMs = nowMs;
  }

  #accountOf(address: string): Account {
    const client = networkOf(address);
    const known = this.#clients.get(client);
    // The one that asked last is forgotten last.
    if (known) this.#clients.delete(client);
    else if (this.#clients.size >= maxClients) this.#clients.delete(this.#clients.keys().next().value!);
    const { clientBurst, clientPerSecond } = this.#limits;
    const account = known ?? { tokens: clientBurst, updatedMs: this.#clock.nowMs(), opening: 0 };
    this.#clients.set(client, account);
    this.#refill(account, clientPerSecond, clientBurst);
    return account;
  }
}

/** Whoever has an IPv6 address has 2^64 of them: its network counts. IPv4 stands for itself, also within IPv6. */
function networkOf(address: string): string {
  if (!address.includes(":") || address.includes(".")) return address.replace(/^::ffff:/i, "");
  const [head = "", tail] = address.split("::");
  const front = head.split(":").filter((group) => group !== "");
  if (tail !== undefined) {
    const back = tail.split(":").filter((group) => group !== "");
    while (front.length + back.length < 8) front.push("0");
    front.push(...back);
  }
  return `${front.slice(0, 4).join(":")}::/64`;
}
