import type { PacketOutlet } from "./packet-outlet.ts";

/** One address pair between a viewer and this port: a UDP 5-tuple or a TCP connection. */
export interface Path {
  /** Unique on this port. */
  readonly key: string;
  readonly protocol: "udp" | "tcp";
  readonly address: string;
  readonly port: number;
  readonly outlet: PacketOutlet;
  /** For control messages (STUN, DTLS); `datagram` is the path's from now on. */
  send(datagram: Uint8Array): void;
  /** An authentic check came over it: a viewer holds it from now on. */
  adopt(): void;
  /** The viewer has no use for it any more. */
  release(): void;
  /** Opens the outlet's destination for media on this path. Closing it is {@link closeDestination}'s. */
  openDestination(): number;
  closeDestination(destination: number): void;
  readonly backlogBytes: number;
}

/**
 * How much an address may get before it has proven that it receives: as much as it sent; and, once one authentic check
 * came from it, three times that, for the DTLS flight (RFC 9000 §8.1 uses the same factor).
 */
export class SendBudget {
  #bytesIn = 0;
  #bytesOut = 0;
  isProven = false;

  received(bytes: number): void {
    this.#bytesIn += bytes;
  }

  /** Whether `bytes` may be sent; if so they are counted. */
  take(bytes: number): boolean {
    if (!this.isProven && this.#bytesOut + bytes > 3 * this.#bytesIn) return false;
    this.#bytesOut += bytes;
    return true;
  }
}
