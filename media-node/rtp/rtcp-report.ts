import { ByteWriter } from "../bytes/byte-writer.ts";
import { ProtocolError } from "../flow/errors.ts";

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

/** One report block of a receiver report (RFC 3550 §6.4.1). */
export interface ReceptionReport {
  readonly ssrc: number;
  /** Lost since the last report, of 256. */
  readonly fractionLost: number;
  readonly cumulativeLost: number;
  readonly highestSequence: number;
  /** RTP ticks. */
  readonly jitter: number;
  readonly lastSenderReport: number;
  /** 1/65536 s. */
  readonly delaySinceLastSenderReport: number;
}

/** Seconds from 1900 to 1970. */
const ntpToUnixSeconds = 2_208_988_800;

/**
 * The sender reports and leaving sources of a compound packet. Other packets are skipped.
 * @throws {ProtocolError} when a packet is longer than the compound
 */
export function parseSenderReports(bytes: Uint8Array): { reports: SenderReport[]; leaving: number[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reports: SenderReport[] = [];
  const leaving: number[] = [];
  for (let at = 0; at + 4 <= bytes.length;) {
    const end = at + (view.getUint16(at + 2) + 1) * 4;
    if (bytes[at]! >> 6 !== 2) throw new ProtocolError("RTCP_VERSION", `RTCP version ${bytes[at]! >> 6}`);
    if (end > bytes.length) throw new ProtocolError("RTCP_TRUNCATED", "the RTCP packet ends early");
    const type = bytes[at + 1]!;
    if (type === 200 && end - at >= 28) reports.push(parseSenderReport(view, at));
    if (type === 203) {
      const count = Math.min(bytes[at]! & 31, (end - at) / 4 - 1);
      for (let i = 0; i < count; i++) leaving.push(view.getUint32(at + 4 + i * 4));
    }
    at = end;
  }
  return { reports, leaving };
}

function parseSenderReport(view: DataView, at: number): SenderReport {
  const seconds = view.getUint32(at + 8);
  const fraction = view.getUint32(at + 12);
  const isUnknown = seconds === 0 && fraction === 0;
  return {
    ssrc: view.getUint32(at + 4),
    // NTP seconds wrap in 2036; a top bit of 0 means the era after it (RFC 2030 §3).
    ntpMs: isUnknown
      ? 0
      : (seconds + (seconds < 0x80000000 ? 2 ** 32 : 0) - ntpToUnixSeconds) * 1000 + (fraction * 1000) / 2 ** 32,
    ntpMiddle: (((seconds & 0xffff) << 16) | (fraction >>> 16)) >>> 0,
    rtpTimestamp: view.getUint32(at + 16),
  };
}

/** A receiver report with the SDES item every compound must hold (RFC 3550 §6.1). */
export function serializeReceiverReport(ssrc: number, report: ReceptionReport | undefined, cname: string): Uint8Array {
  const writer = new ByteWriter(96);
  writer.u8(0x80 | Number(report !== undefined)).u8(201);
  writer.u16(report ? 7 : 1).u32(ssrc);
  if (report) {
    writer
      .u32(report.ssrc)
      .u8(report.fractionLost)
      .u24(Math.max(-0x800000, Math.min(0x7fffff, report.cumulativeLost)));
    writer.u32(report.highestSequence >>> 0).u32(report.jitter >>> 0);
    writer.u32(report.lastSenderReport >>> 0).u32(report.delaySinceLastSenderReport >>> 0);
  }
  const name = new TextEncoder().encode(cname).subarray(0, 255);
  // At least one zero byte ends the chunk, padded to 32 bits.
  const itemLength = Math.ceil((2 + name.length + 1) / 4) * 4;
  writer.u8(0x81).u8(202);
  writer.u16(1 + itemLength / 4).u32(ssrc);
  writer.u8(1).u8(name.length).bytes(name);
  writer.bytes(new Uint8Array(itemLength - 2 - name.length));
  return writer.finish().slice();
}
