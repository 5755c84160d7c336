import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/**
 * What the path does to whoever connects:
 * - `pass`: carries bytes, `delayMs` later each way
 * - `freeze`: like a stopped process: connections are accepted and stay, nothing is carried
 * - `drop`: accepts, and swallows what is sent; what was open stays open and silent
 * - `trickle`: one byte a second towards the client
 * - `hang-up`: accepts, and closes at once
 */
export type PathMode = "pass" | "freeze" | "drop" | "trickle" | "hang-up";

const trickleMs = 1_000;

/** A TCP path with faults between any number of clients and one port on loopback, at a port that stays its own. */
export class TcpFaultProxy implements AsyncDisposable {
  readonly #targetPort: number | undefined;
  readonly #pairs = new Set<Pair>();
  #server: Server | undefined;
  #port = 0;
  #mode: PathMode = "pass";
  #delayMs = 0;
  /** Connections accepted so far, with when. */
  readonly connects: number[] = [];

  private constructor(targetPort: number | undefined) {
    this.#targetPort = targetPort;
  }

  /** @param targetPort undefined: there is nothing behind it */
  static async open(targetPort?: number): Promise<TcpFaultProxy> {
    const proxy = new TcpFaultProxy(targetPort);
    await proxy.up();
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  /** Connections that are open now. */
  get openCount(): number {
    return this.#pairs.size;
  }

  /** From now on the path does this, also to what is open. */
  set(mode: PathMode, delayMs = 0): void {
    this.#mode = mode;
    this.#delayMs = delayMs;
    for (const pair of this.#pairs) pair.set(mode, delayMs);
  }

  /** Closes what is open, as a process does that ends in good order. */
  cut(): void {
    for (const pair of this.#pairs) pair.close();
  }

  /** Resets what is open, as a machine does that has lost the connection. */
  reset(): void {
    for (const pair of this.#pairs) pair.reset();
  }

  /** What is open is reset and nobody listens any more: the process was killed. */
  async down(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    const closed = server && once(server, "close");
    server?.close();
    this.reset();
    await closed;
  }

  /** Listens again at the same port; the path carries. */
  async up(): Promise<void> {
    if (this.#server) return;
    this.set("pass");
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client));
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.down();
  }

  #accept(client: Socket): void {
    this.connects.push(performance.now());
    if (this.#mode === "hang-up") {
      client
        .on("error", () => {})
        .resume()
        .end();
      return;
    }
    const pair = new Pair(client, this.#targetPort);
    this.#pairs.add(pair);
    client.once("close", () => this.#pairs.delete(pair));
    pair.set(this.#mode, this.#delayMs);
  }
}

/** One client and its connection to the target. */
class Pair {
  readonly #client: Socket;
  readonly #target: Socket | undefined;
  readonly #timers = new Set<NodeJS.Timeout>();
  #mode: PathMode = "pass";
  #delayMs = 0;
  #trickled: Buffer[] = [];
  #trickle: NodeJS.Timeout | undefined;

  constructor(client: Socket, targetPort: number | undefined) {
    this.#client = client;
    if (targetPort !== undefined) {
      this.#target = connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
      this.#carry(this.#target, client);
    }
    this.#carry(client, this.#target);
  }

  set(mode: PathMode, delayMs: number): void {
    this.#mode = mode;
    this.#delayMs = delayMs;
    for (const socket of [this.#client, this.#target]) {
      if (mode === "freeze") socket?.pause();
      else socket?.resume();
    }
    clearInterval(this.#trickle);
    if (mode === "trickle") this.#trickle = setInterval(() => this.#oneByte(), trickleMs);
  }

  close(): void {
    this.#client.end();
    this.#target?.destroy();
  }

  reset(): void {
    this.#client.resetAndDestroy();
    this.#target?.destroy();
  }

  #carry(from: Socket, to: Socket | undefined): void {
    from.on("error", () => {});
    from.on("data", (bytes: Buffer) => {
      if (this.#mode === "drop") return;
      if (this.#mode === "trickle" && to === this.#client) {
        // What would take for ever is not kept.
        if (this.#trickled.length < 10) this.#trickled.push(bytes);
        return;
      }
      if (this.#delayMs === 0) to?.write(bytes);
      else this.#later(() => void to?.write(bytes));
    });
    from.on("end", () => {
      if (this.#mode !== "freeze" && this.#mode !== "drop") this.#later(() => void to?.end());
    });
    from.on("close", () => {
      clearInterval(this.#trickle);
      for (const timer of this.#timers) clearTimeout(timer);
      to?.destroy();
    });
  }

  #later(act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, this.#delayMs);
    this.#timers.add(timer);
  }

  #oneByte(): void {
    const [first] = this.#trickled;
    if (!first) return;
    this.#client.write(first.subarray(0, 1));
    if (first.length === 1) this.#trickled.shift();
    else this.#trickled[0] = first.subarray(1);
  }
}
