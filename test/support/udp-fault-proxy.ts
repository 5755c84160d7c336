import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

/** What a path between viewer and node does to datagrams, the same both ways. */
export interface PathFaults {
  /** Share of datagrams lost, 0…1. */
  readonly loss: number;
  /** One way. */
  readonly delayMs: number;
  /** Up to this much more, changing from datagram to datagram; like a router's queue it does not change their order. */
  readonly jitterMs: number;
  /** 0 ≤ x < 1 */
  readonly random: () => number;
  /** Told of each datagram to a viewer that was not lost. */
  readonly onPassed?: (datagram: Uint8Array) => void;
}

/** A UDP path with faults between any number of viewers and one port on loopback. */
export class UdpFaultProxy implements AsyncDisposable {
  readonly #front = createSocket("udp4");
  readonly #in: FaultyWay;
  readonly #out: FaultyWay;
  /** One socket for each viewer, so that the node sees different addresses. */
  readonly #backs = new Map<number, Socket>();

  readonly #onPassed: PathFaults["onPassed"];

  private constructor(targetPort: number, faults: PathFaults) {
    this.#onPassed = faults.onPassed;
    this.#in = new FaultyWay(faults);
    this.#out = new FaultyWay(faults);
    this.#front.on("message", (bytes, { port }) => {
      const back = this.#backFor(port);
      this.#in.carry(() => back.send(bytes, targetPort, "127.0.0.1"));
    });
  }

  static async open(targetPort: number, faults: PathFaults): Promise<UdpFaultProxy> {
    const proxy = new UdpFaultProxy(targetPort, faults);
    proxy.#front.bind(0, "127.0.0.1");
    await once(proxy.#front, "listening");
    return proxy;
  }

  get port(): number {
    return this.#front.address().port;
  }

  #backFor(viewerPort: number): Socket {
    const known = this.#backs.get(viewerPort);
    if (known) return known;
    const back = createSocket("udp4");
    back.on("message", (bytes) =>
      this.#out.carry(() => {
        this.#onPassed?.(bytes);
        this.#front.send(bytes, viewerPort, "127.0.0.1");
      }),
    );
    back.on("error", () => {});
    back.bind(0, "127.0.0.1");
    this.#backs.set(viewerPort, back);
    return back;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#in.close();
    this.#out.close();
    for (const socket of [this.#front, ...this.#backs.values()]) {
      await new Promise<void>((resolve) => socket.close(() => resolve()));
    }
  }
}

/** One direction: a queue of datagrams with the time each is due. */
class FaultyWay {
  readonly #faults: PathFaults;
  readonly #queue: { readonly dueMs: number; readonly send: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(faults: PathFaults) {
    this.#faults = faults;
  }

  carry(send: () => void): void {
    const { loss, delayMs, jitterMs, random } = this.#faults;
    if (random() < loss) return;
    const dueMs = Math.max(this.#queue.at(-1)?.dueMs ?? 0, performance.now() + delayMs + random() * jitterMs);
    this.#queue.push({ dueMs, send });
    this.#schedule();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#queue.length = 0;
  }

  #schedule(): void {
    const [next] = this.#queue;
    if (this.#timer || !next) return;
    const send = (): void => {
      this.#timer = undefined;
      while (this.#queue[0] && this.#queue[0].dueMs <= performance.now()) this.#queue.shift()!.send();
      this.#schedule();
    };
    this.#timer = setTimeout(send, Math.max(0, next.dueMs - performance.now()));
  }
}
