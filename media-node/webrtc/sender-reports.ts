import { serializeRtcp, type ReportBlock, type RtcpPacket } from "../rtp/rtcp.ts";
import type { TrackSender } from "./track-sender.ts";

/** Seconds from 1900 (NTP) to 1970 (Unix). */
const ntpOffsetSeconds = 2_208_988_800;
/** How many reports a viewer may refer to: four back, of picture and sound. */
const remembered = 8;

/** Unix milliseconds as an NTP timestamp (RFC 5905 §6). */
export function ntpOf(unixMs: number): { ntpSeconds: number; ntpFraction: number } {
  const seconds = Math.floor(unixMs / 1000);
  const fraction = Math.floor(((unixMs - seconds * 1000) / 1000) * 2 ** 32);
  return { ntpSeconds: (seconds + ntpOffsetSeconds) >>> 0, ntpFraction: Math.min(fraction, 2 ** 32 - 1) };
}

/**
 * Sender reports for one viewer. Their NTP time comes from the stream's media clock, the same for sound and picture, so
 * that a burst of cached media does not pull them apart.
 */
export class SenderReports {
  readonly #cname: string;
  /** In pairs: the report's compact NTP time, and when it was sent. The oldest is written over. */
  readonly #sent = new Float64Array(2 * remembered);
  #reports = 0;
  #roundTripMs = 0;

  constructor(cname: string) {
    this.#cname = cname;
  }

  /** From the viewer's receiver reports; 0 = not known yet. */
  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  /**
   * One compound packet: a report for each sender that sent something, then the names.
   * @param epochMs Unix time at which the stream's timestamps are 0
   */
  serialize(senders: readonly TrackSender[], epochMs: number, nowMs: number): Uint8Array | undefined {
    const reports = senders.flatMap((sender) => this.#report(sender, epochMs, nowMs));
    if (reports.length === 0) return undefined;
    const chunks = senders.map(({ format }) => ({ ssrc: format.ssrc, cname: this.#cname }));
    return serializeRtcp([...reports, { type: "source-description", chunks }]);
  }

  /** Takes the round trip time out of a report block (RFC 3550 §6.4.1). */
  receive(block: ReportBlock, nowMs: number): void {
    if (block.lastSenderReport === 0) return;
    let at = 0;
    while (at < this.#sent.length && this.#sent[at] !== block.lastSenderReport) at += 2;
    if (at === this.#sent.length) return;
    const delayMs = (block.delaySinceLastSenderReport / 65_536) * 1000;
    this.#roundTripMs = Math.min(10_000, Math.max(0, nowMs - this.#sent[at + 1]! - delayMs));
  }

  #report(sender: TrackSender, epochMs: number, nowMs: number): RtcpPacket[] {
    const latest = sender.fanOut?.history.latest;
    if (!latest || sender.packets === 0) return [];
    const { ntpSeconds, ntpFraction } = ntpOf(epochMs + latest.mediaMs);
    const compactNtp = (((ntpSeconds & 0xffff) << 16) | (ntpFraction >>> 16)) >>> 0;
    const at = 2 * (this.#reports++ % remembered);
    this.#sent[at] = compactNtp;
    this.#sent[at + 1] = nowMs;
    return [
      {
        type: "sender-report",
        ssrc: sender.format.ssrc,
        ntpSeconds,
        ntpFraction,
        rtpTimestamp: latest.packets.timestamp,
        packetCount: sender.packets >>> 0,
        octetCount: sender.octets >>> 0,
        reports: [],
      },
    ];
  }
}
