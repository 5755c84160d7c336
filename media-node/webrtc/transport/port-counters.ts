import { newOutletCounters, type OutletCounters } from "./packet-outlet.ts";

/** Everything one port counts. Plain numbers, only incremented, except the gauges. */
export class PortCounters {
  readonly outlet: OutletCounters = newOutletCounters();
  datagramsIn = 0;
  bytesIn = 0;
  /** Control datagrams: STUN and DTLS. */
  controlOut = 0;
  controlBytesOut = 0;
  connected = 0;
  droppedUnknownFormat = 0;
  droppedUnknownAddress = 0;
  droppedMalformedOut = 0;
  /** What an address would have got before it had proven that it receives. */
  droppedUnproven = 0;
  socketErrors = 0;
  /** TCP connections refused: too many. */
  droppedConnections = 0;
  stunMalformed = 0;
  stunUnknownUfrag = 0;
  stunUnauthentic = 0;
  rtcpUnauthentic = 0;
  /** Callbacks of the layer above that threw. */
  callbackErrors = 0;
  internalErrors = 0;
  /** OpenSSL's words for the newest failed handshake, for a log line. */
  lastDtlsFailure = "";
  readonly #closed = new Map<string, number>();

  closed(reason: string): void {
    // Reasons come from code, not from outside; the bound is against a mistake above.
    const key = this.#closed.size < 32 || this.#closed.has(reason) ? reason : "other";
    this.#closed.set(key, (this.#closed.get(key) ?? 0) + 1);
  }

  snapshot(): Record<string, number> {
    const own = Object.entries(this).filter((entry): entry is [string, number] => typeof entry[1] === "number");
    const closed = [...this.#closed].map(([reason, count]) => [`closed:${reason}`, count] as const);
    return { ...Object.fromEntries(own), ...this.outlet, ...Object.fromEntries(closed) };
  }
}
