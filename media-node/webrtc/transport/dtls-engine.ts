import type { SrtpMasterKeys } from "./srtp-keys.ts";

/** Why a DTLS session ended; stable, counted. */
export type DtlsEnd = "close-notify" | "dtls-failed" | "dtls-fingerprint" | "dtls-no-srtp";

export interface DtlsEvents {
  /** One datagram for the viewer, owned by the callee. */
  send(datagram: Uint8Array): void;
  /** Handshake done, certificate compared, keys exported. Once. */
  connected(keys: SrtpMasterKeys): void;
  /** By the viewer or by a fault; the session is freed already. At most once, not after `close`. */
  ended(reason: DtlsEnd, detail: string): void;
}

/** One viewer's DTLS in the server role, with no socket and no timer of its own. */
export interface DtlsSession {
  /** A datagram that came from an address of this viewer. */
  receive(datagram: Uint8Array, nowMs: number): void;
  /** Call every 100 ms or so until connected: resends lost flights. */
  tick(nowMs: number): void;
  /** The viewer has the keys, as its first SRTCP packet shows: what only the handshake needed may go. */
  settle(): void;
  /** Sends close_notify when connected, and forgets everything. May be called twice. */
  close(): void;
}

/** How this node does DTLS; one a port. */
export interface DtlsEngine {
  readonly name: "openssl" | "werift";
  /** @param fingerprints of the viewer's certificate, from its SDP; at least one must match */
  open(events: DtlsEvents, fingerprints: readonly string[]): DtlsSession;
  /** Close the sessions first. */
  close(): void;
}
