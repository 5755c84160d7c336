import type { RtcpPacket } from "./rtcp.ts";

/** What a receiver takes from a sender report (RFC 3550 §6.4.1). */
export interface SenderReport {
  readonly ssrc: number;
  /** The sender's wall clock, as Unix milliseconds with fraction; 0 = the sender has none. */
  readonly ntpMs: number;
  /** Middle 32 bits of the NTP timestamp, to be returned as LSR. */
  readonly ntpMiddle: number;
  /** The same instant in RTP ticks. */
  readonly rtpTimestamp: number;
}

/** Seconds from 1900 to 1970. */
const ntpToUnixSeconds = 2_208_988_800;

export function senderReportOf(packet: RtcpPacket & { readonly type: "sender-report" }): SenderReport {
  const { ssrc, ntpSeconds, ntpFraction, rtpTimestamp } = packet;
  // NTP seconds wrap in 2036; a top bit of 0 means the era after it (RFC 2030 §3).
  const seconds = ntpSeconds + (ntpSeconds < 0x80000000 ? 2 ** 32 : 0) - ntpToUnixSeconds;
  return {
    ssrc,
    ntpMs: ntpSeconds === 0 && ntpFraction === 0 ? 0 : seconds * 1000 + (ntpFraction * 1000) / 2 ** 32,
    ntpMiddle: (((ntpSeconds & 0xffff) << 16) | (ntpFraction >>> 16)) >>> 0,
    rtpTimestamp,
  };
}
