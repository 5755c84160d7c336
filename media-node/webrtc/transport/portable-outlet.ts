import type { Socket } from "node:dgram";
import type { Slab } from "../native/slab.ts";
import { maxPacketBytes, type DatagramOutlet, type OutletCounters } from "./packet-outlet.ts";

/** libuv queues without bound when the kernel's buffer is full; beyond this we drop instead. */
const maxQueuedBytes = 4 << 20;

/** One `dgram.send` a packet: for runtimes without FFI or without `sendmmsg`. */
export class PortableOutlet implements DatagramOutlet {
  readonly tier = "portable";
  readonly slab: Slab;
  readonly #socket: Socket;
  readonly #counters: OutletCounters;
  readonly #destinations = new Map<number, { readonly address: string; readonly port: number }>();
  #nextDestination = 0;

  /** @param slab of {@link maxPacketBytes} at least; with an address when the packets are made by native code */
  constructor(socket: Socket, slab: Slab, counters: OutletCounters) {
    this.#socket = socket;
    this.slab = slab;
    this.#counters = counters;
  }

  openDestination(address: string, port: number): number {
    const destination = this.#nextDestination++;
    this.#destinations.set(destination, { address, port });
    return destination;
  }

  closeDestination(destination: number): void {
    this.#destinations.delete(destination);
  }

  reserve(): number {
    return 0;
  }

  commit(at: number, length: number, destination: number): void {
    const to = this.#destinations.get(destination);
    if (!to) return;
    if (this.#socket.getSendQueueSize() > maxQueuedBytes) {
      this.#counters.droppedWouldBlock++;
      return;
    }
    // The socket keeps a pointer until it has sent, and the slab is written again at once: hence a copy.
    const packet = Buffer.allocUnsafe(length);
    packet.set(this.slab.bytes.subarray(at, at + length));
    this.#counters.systemCalls++;
    this.#counters.packetsOut++;
    this.#counters.bytesOut += length;
    this.#socket.send(packet, 0, length, to.port, to.address, countUnreachable(this.#counters));
  }

  flush(): void {}

  close(): void {}
}

const callbacks = new WeakMap<OutletCounters, (error: Error | null) => void>();

/** One callback per counters object, not one per packet. Without a callback a failed send would be an `error` event. */
export function countUnreachable(counters: OutletCounters): (error: Error | null) => void {
  let callback = callbacks.get(counters);
  if (!callback) {
    callback = (error) => {
      if (error) counters.droppedUnreachable++;
    };
    callbacks.set(counters, callback);
  }
  return callback;
}

export const portablePacketSlab = (): Slab => ({ bytes: new Uint8Array(maxPacketBytes), address: 0 });
