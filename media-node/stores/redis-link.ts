import { StoreUnavailable } from "../cluster/store/contract.ts";
import { Backoff } from "../flow/backoff.ts";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock, Timer } from "../time/clock.ts";

/** What a link needs of a node-redis client, of a server or of a cluster. */
export interface LinkClient {
  connect(): Promise<unknown>;
  destroy(): void;
  on(event: "error" | "connect", listener: (thrown: unknown) => void): unknown;
}

export interface RedisLinkOptions<Client extends LinkClient> {
  /** Makes a client that is not connected; the link destroys it. */
  readonly open: () => Promise<Client>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Most that one command takes, connecting included. */
  readonly deadlineMs: number;
  readonly random?: (() => number) | undefined;
  /** The client finds its own way back once it was connected: it is kept through errors and missed deadlines. */
  readonly isSelfHealing?: boolean;
}

/** One client and what became of it. */
interface Attempt<Client> {
  client: Client | undefined;
  isReady: boolean;
}

/** At most about one try a second and node, and back within 2 s once the server is. */
const reconnectFirstMs = 750;
const reconnectCapMs = 2_000;
/** Replies after which the server is the wrong one to talk to: a replica after a failover, or one that still loads. */
const wrongServer = /^(READONLY|LOADING|MASTERDOWN|NOAUTH|WRONGPASS)\b/;

/**
 * One connection to Redis that comes back by itself. Connects with the first command; a command waits for a connection
 * no longer than its deadline. A server that misses a deadline is left and dialled anew, so that nothing piles up
 * behind it.
 */
export class RedisLink<Client extends LinkClient> {
  readonly #options: RedisLinkOptions<Client>;
  readonly #backoff: Backoff;
  readonly #waiters = new Set<(attempt: Attempt<Client>, client: Client) => void>();
  /** Connections that are being made, given up ones included: they end by their own time-out. */
  readonly #dials = new Set<Promise<void>>();
  #current: Attempt<Client> | undefined;
  #retry: Timer | undefined;
  #isClosed = false;
  #isDown = false;

  constructor(options: RedisLinkOptions<Client>) {
    this.#options = options;
    this.#backoff = new Backoff(reconnectFirstMs, reconnectCapMs, options.random);
  }

  /**
   * Runs `command` on a connected client.
   * @throws {StoreUnavailable} when there was no connection or no answer within the deadline
   * @throws {ErrorReply} what the server answered, if it was an error
   */
  run<T>(command: (client: Client) => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(new StoreUnavailable("the store was closed"));
    const { clock, deadlineMs } = this.#options;
    // Dialled first: a first dial loads the client, which holds the thread and is no fault of the server's.
    if (!this.#current?.isReady) this.#connect();
    return new Promise<T>((resolve, reject) => {
      let used: Attempt<Client> | undefined;
      const start = (attempt: Attempt<Client>, client: Client): void => {
        used = attempt;
        command(client).then(
          (value) =>
            finish(() => {
              // Not sooner: what takes connections and drops them, a proxy without its server, is not back.
              this.#backoff.reset();
              resolve(value);
            }),
          (thrown: unknown) => finish(() => reject(this.#judge(attempt, thrown))),
        );
      };
      const giveUp = (): void =>
        finish(() => {
          this.#waiters.delete(start);
          if (used && !this.#options.isSelfHealing) this.#drop(used, "no answer within the deadline");
          reject(new StoreUnavailable(`the store did not answer within ${deadlineMs} ms`));
        });
      // An answer that came while this process itself was held up is read before the verdict.
      const deadline = clock.after(deadlineMs, () => setImmediate(giveUp));
      let isDone = false;
      const finish = (settle: () => void): void => {
        if (isDone) return;
        isDone = true;
        deadline.cancel();
        settle();
      };
      const current = this.#current;
      if (current?.client && current.isReady) start(current, current.client);
      else this.#waiters.add(start);
    });
  }

  /** Lets go of the connection; what is under way fails. Resolves when no socket is left. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#retry = undefined;
    const current = this.#current;
    this.#current = undefined;
    current?.client?.destroy();
    await Promise.all(this.#dials);
  }

  #connect(): void {
    if (this.#current || this.#retry || this.#isClosed) return;
    const attempt: Attempt<Client> = { client: undefined, isReady: false };
    this.#current = attempt;
    const dial = this.#dial(attempt).finally(() => this.#dials.delete(dial));
    this.#dials.add(dial);
  }

  async #dial(attempt: Attempt<Client>): Promise<void> {
    const { clock, deadlineMs, open, isSelfHealing } = this.#options;
    const opening = open();
    // The handshake's AUTH has no limit of its own.
    const deadline = clock.after(deadlineMs, () => this.#drop(attempt, "no connection within the deadline"));
    try {
      const client = await opening;
      if (this.#current !== attempt) return;
      attempt.client = client;
      client.on("error", (thrown) => {
        if (!isSelfHealing || !attempt.isReady) this.#drop(attempt, messageOf(thrown));
      });
      // Destroyed while it dials, it would keep the socket that comes of it.
      client.on("connect", () => {
        if (this.#current !== attempt) client.destroy();
      });
      await client.connect();
      if (this.#current === attempt) this.#onReady(attempt, client);
      else client.destroy();
    } catch (thrown) {
      this.#drop(attempt, messageOf(thrown));
    } finally {
      deadline.cancel();
    }
  }

  #onReady(attempt: Attempt<Client>, client: Client): void {
    attempt.isReady = true;
    this.#options.logger.info("store connected");
    this.#isDown = false;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const start of waiters) start(attempt, client);
  }

  #drop(attempt: Attempt<Client>, why: string): void {
    if (this.#current !== attempt) return;
    this.#current = undefined;
    attempt.client?.destroy();
    if (!this.#isDown) this.#options.logger.warn("store lost", { error: why });
    this.#isDown = true;
    this.#retry = this.#options.clock.after(this.#backoff.next(), () => {
      this.#retry = undefined;
      this.#connect();
    });
  }

  #judge(attempt: Attempt<Client>, thrown: unknown): unknown {
    const message = messageOf(thrown);
    if (!isErrorReply(thrown)) return new StoreUnavailable(message, { cause: thrown });
    if (wrongServer.test(message)) this.#drop(attempt, message);
    return thrown;
  }
}

/** Whether the server itself said no, in contrast to a connection that failed. */
export function isErrorReply(thrown: unknown): thrown is Error {
  // The class itself is not exported alike by every layout of the package.
  return thrown instanceof Error && /^(ErrorReply|SimpleError|BlobError)$/.test(thrown.constructor.name);
}
