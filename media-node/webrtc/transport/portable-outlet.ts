import type { Socket } from "node:dgram";
import type { Slab } from "../native/slab.ts";
import type { DatagramOutlet, OutletCounters } from "./packet-outlet.ts";

/** Packets are written one after another; what the kernel did not take at once is still there when it can. */
export const portableSlabBytes = 1 << 20;

/** One `dgram.send` a packet: for runtimes without FFI or without `sendmmsg`. */
export class PortableOutlet implements DatagramOutlet {
  readonly tier = "portable";
  readonly slab: Slab;
  readonly #socket: Socket;
  readonly #counters: OutletCounters;
  readonly #destinations = new Map<number, { readonly address: string; readonly port: number }>();
  #nextDestination = 0;
  #end = 0;
  /** The slab went round before the kernel took its first packets. */
  #isCongested = false;

  /** @param slab of {@link portableSlabBytes}; with an address when the packets are made by native code */
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

  reserve(maxLength: number): number {
    if (this.#end + maxLength > portableSlabBytes || this.#isCongested) {
      this.#end = 0;
      // libuv keeps a pointer to what it could not send yet.
      this.#isCongested = this.#socket.getSendQueueSize() > 0;
    }
    return this.#end;
  }

  commit(at: number, length: number, destination: number): void {
    const to = this.#destinations.get(destination);
    if (!to) return;
    if (this.#isCongested) {
      this.#counters.droppedWouldBlock++;
      return;
    }
    this.#end = at + length;
    this.#counters.systemCalls++;
    this.#counters.packetsOut++;
    this.#counters.bytesOut += length;
    // A callback would cost as much as the rest of the call; errors come as the socket's own event, and are counted there.
    this.#socket.send(this.slab.bytes, at, length, to.port, to.address);
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

export function portablePacketSlab(byteLength: number): Slab {
  const bytes = new Uint8Array(byteLength);
  return { bytes, view: new DataView(bytes.buffer), address: 0 };
}
