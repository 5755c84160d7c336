import type { Slab } from "../native/slab.ts";

/** What left, and what was dropped and why. One object a port; only ever incremented. */
export interface OutletCounters {
  packetsOut: number;
  bytesOut: number;
  systemCalls: number;
  /** The kernel's buffer was full. */
  droppedWouldBlock: number;
  /** The kernel refused this destination. */
  droppedUnreachable: number;
  /** The viewer's TCP connection does not keep up. */
  droppedBacklog: number;
  /** Segmentation offload refused for a destination; it gets single datagrams from then on. */
  trainsRefused: number;
}

export const newOutletCounters = (): OutletCounters => ({
  packetsOut: 0,
  bytesOut: 0,
  systemCalls: 0,
  droppedWouldBlock: 0,
  droppedUnreachable: 0,
  droppedBacklog: 0,
  trainsRefused: 0,
});

/**
 * Where protected packets are put, one after another, to leave at the next flush. Use: `at = reserve(n)`, write up to `n`
 * bytes at `slab.bytes[at…]`, `commit(at, length, destination)`.
 */
export interface PacketOutlet {
  readonly slab: Slab;
  /** Room for `maxLength` bytes; sends what waits when there is none. */
  reserve(maxLength: number): number;
  /** Queues what was written. Packets to one destination that follow each other may leave as one train. */
  commit(at: number, length: number, destination: number): void;
  flush(): void;
}

/** A UDP socket's outlet. Destinations are numbers, so that the hot path handles no strings and no objects. */
export interface DatagramOutlet extends PacketOutlet {
  readonly tier: "ffi-gso" | "ffi" | "portable";
  /** @param address literal of the socket's family */
  openDestination(address: string, port: number): number;
  /** Flushes first: what waits for this destination still goes to it. */
  closeDestination(destination: number): void;
  close(): void;
}

/** Longest packet an outlet takes: an RTP packet of a jumbo frame would not survive the path anyway. */
export const maxPacketBytes = 2048;
