import { createClient } from "redis";
import { StoreUnavailable } from "../cluster/store/contract.ts";
import { Backoff } from "../flow/backoff.ts";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock, Timer } from "../time/clock.ts";
import { parseRedisUrl, type RedisAddress } from "./redis-url.ts";

export interface RedisLinkOptions {
  /** See `parseRedisUrl`. */
  readonly url: string;
  /** Wins over the URL's. */
  readonly username?: string | undefined;
  /** Wins over the URL's. */
  readonly password?: string | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Most that one command takes, connecting included. */
  readonly deadlineMs: number;
  readonly random?: () => number;
  /** Certificates (PEM) to trust for `rediss://` instead of the system's. */
  readonly ca?: string | undefined;
}

/** A connected node-redis client that answers in RESP2 shapes. */
export type RedisClient = ReturnType<typeof newClient>;

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
export class RedisLink {
  readonly #address: RedisAddress;
  readonly #options: RedisLinkOptions;
  readonly #backoff: Backoff;
  readonly #waiters = new Set<(client: RedisClient) => void>();
  /** Connections that are being made, given up ones included: they end by their own time-out. */
  readonly #dials = new Set<Promise<void>>();
  #client: RedisClient | undefined;
  #isReady = false;
  #retry: Timer | undefined;
  #isClosed = false;
  #isDown = false;

  /** @throws {SettingError} on a URL that is none */
  constructor(options: RedisLinkOptions) {
    const address = parseRedisUrl(options.url);
    const { username = address.username, password = address.password } = options;
    this.#address = { ...address, username, password };
    this.#options = options;
    this.#backoff = new Backoff(reconnectFirstMs, reconnectCapMs, options.random);
  }

  /**
   * Runs `command` on a connected client.
   * @throws {StoreUnavailable} when there was no connection or no answer within the deadline
   * @throws {ErrorReply} what the server answered, if it was an error
   */
  run<T>(command: (client: RedisClient) => Promise<T>): Promise<T> {
    if (this.#isClosed) return Promise.reject(new StoreUnavailable("the store was closed"));
    return new Promise<T>((resolve, reject) => {
      const { clock, deadlineMs } = this.#options;
      let used: RedisClient | undefined;
      const start = (client: RedisClient): void => {
        used = client;
        command(client).then(
          (value) => finish(() => resolve(value)),
          (thrown: unknown) => finish(() => reject(this.#judge(client, thrown))),
        );
      };
      const giveUp = (): void =>
        finish(() => {
          this.#waiters.delete(start);
          if (used) this.#drop(used, "no answer within the deadline");
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
      if (this.#client && this.#isReady) start(this.#client);
      else {
        this.#waiters.add(start);
        this.#connect();
      }
    });
  }

  /** Lets go of the connection; what is under way fails. Resolves when no socket is left. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#retry?.cancel();
    this.#retry = undefined;
    const client = this.#client;
    this.#client = undefined;
    this.#isReady = false;
    client?.destroy();
    await Promise.all(this.#dials);
  }

  #connect(): void {
    if (this.#client || this.#retry || this.#isClosed) return;
    const { deadlineMs, ca } = this.#options;
    const client = newClient(this.#address, deadlineMs, ca);
    this.#client = client;
    client.on("error", (thrown: unknown) => this.#drop(client, messageOf(thrown)));
    // Destroyed while it dials, it would keep the socket that comes of it.
    client.on("connect", () => {
      if (this.#client !== client) client.destroy();
    });
    const dial = this.#dial(client).finally(() => this.#dials.delete(dial));
    this.#dials.add(dial);
  }

  async #dial(client: RedisClient): Promise<void> {
    // The handshake's AUTH has no limit of its own.
    const { clock, deadlineMs } = this.#options;
    const deadline = clock.after(deadlineMs, () => this.#drop(client, "no connection within the deadline"));
    try {
      await client.connect();
      if (this.#client === client) this.#onReady(client);
    } catch (thrown) {
      this.#drop(client, messageOf(thrown));
    } finally {
      deadline.cancel();
    }
  }

  #onReady(client: RedisClient): void {
    this.#isReady = true;
    this.#backoff.reset();
    this.#options.logger.info("store connected", { host: this.#address.host, port: this.#address.port });
    this.#isDown = false;
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const start of waiters) start(client);
  }

  #drop(client: RedisClient, why: string): void {
    if (this.#client !== client) return;
    this.#client = undefined;
    this.#isReady = false;
    client.destroy();
    if (this.#isClosed) return;
    if (!this.#isDown) this.#options.logger.warn("store lost", { host: this.#address.host, error: why });
    this.#isDown = true;
    this.#retry = this.#options.clock.after(this.#backoff.next(), () => {
      this.#retry = undefined;
      this.#connect();
    });
  }

  #judge(client: RedisClient, thrown: unknown): unknown {
    const message = messageOf(thrown);
    if (!isErrorReply(thrown)) return new StoreUnavailable(message, { cause: thrown });
    if (wrongServer.test(message)) this.#drop(client, message);
    return thrown;
  }
}

/** Whether the server itself said no, in contrast to a connection that failed. */
export function isErrorReply(thrown: unknown): thrown is Error {
  // The class itself is not exported alike by every layout of the package.
  return thrown instanceof Error && /^(ErrorReply|SimpleError|BlobError)$/.test(thrown.constructor.name);
}

function newClient(address: RedisAddress, connectTimeout: number, ca: string | undefined) {
  const { host, port, username, password, database } = address;
  const common = { host, port, connectTimeout, reconnectStrategy: false } as const;
  return createClient({
    RESP: 2,
    socket: address.isTls ? { ...common, tls: true, ...(ca !== undefined && { ca }) } : common,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    database,
    disableOfflineQueue: true,
    disableClientInfo: true,
  });
}
