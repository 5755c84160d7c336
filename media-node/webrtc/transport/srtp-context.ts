import type { Slab } from "../native/slab.ts";
import type { SrtpProfile, SrtpSessionKeys } from "./srtp-keys.ts";

/** Room a caller leaves behind a packet: the largest trailer is 16 bytes, but SHA-1's padding stands there first. */
export const srtpSlackBytes = 96;

/** One viewer's SRTP and SRTCP in both directions (RFC 3711, RFC 7714). */
export interface SrtpContext {
  /**
   * Completes an RTP packet whose header stands in `out` at `at`: puts the encrypted payload and the tag behind it.
   * @param source holds the plain payload at `payloadAt`; untouched
   * @param packetIndex 48 bits, RFC 3711 §3.3.1
   * @returns length of the whole packet, at most header + payload + {@link srtpSlackBytes}
   */
  protectRtp(
    source: Uint8Array,
    payloadAt: number,
    payloadLength: number,
    out: Slab,
    at: number,
    headerLength: number,
    ssrc: number,
    packetIndex: number,
  ): number;
  /** Protects a plain RTCP packet (≥ 8 bytes) into `out` at `at`, and returns its length. */
  protectRtcp(packet: Uint8Array, out: Slab, at: number): number;
  /**
   * The plain RTCP packet, as a view valid until the next call; `undefined` when it is forged, replayed or malformed.
   * Never throws.
   */
  unprotectRtcp(packet: Uint8Array): Uint8Array | undefined;
  close(): void;
}

/** Makes contexts; one a port, since it owns scratch memory. */
export interface SrtpCrypto {
  readonly name: "ffi" | "portable";
  /** The profile that costs less here, to be offered first. */
  readonly preferred: SrtpProfile;
  /** The context takes over `keys` and wipes them when it closes. */
  open(keys: SrtpSessionKeys): SrtpContext;
  close(): void;
}
