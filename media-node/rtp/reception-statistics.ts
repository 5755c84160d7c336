import type { ReportBlock } from "./rtcp.ts";
import type { RtpPacket } from "./rtp-packet.ts";
import type { SenderReport } from "./sender-report.ts";

/** Counts one RTP stream as its receiver reports need it (RFC 3550 §6.4.1, A.3, A.8). */
export class ReceptionStatistics {
  readonly #ticksPerMs: number;
  #ssrc: number | undefined;
  #base = 0;
  #highest = 0;
  #cycles = 0;
  #received = 0;
  #expectedBefore = 0;
  #receivedBefore = 0;
  #transit: number | undefined;
  #jitter = 0;
  #report: { middle: number; atMs: number } | undefined;

  constructor(clockRate: number) {
    this.#ticksPerMs = clockRate / 1000;
  }

  get ssrc(): number | undefined {
    return this.#ssrc;
  }

  get jitterMs(): number {
    return this.#jitter / this.#ticksPerMs;
  }

  onPacket({ ssrc, sequence, timestamp }: RtpPacket, nowMs: number): void {
    const ahead = (sequence - this.#highest) & 0xffff;
    if (this.#ssrc !== ssrc || (ahead > 3_000 && ahead < 0xffff - 3_000)) this.#restart(ssrc, sequence);
    else if (ahead < 0x8000) {
      if (sequence < this.#highest) this.#cycles += 0x10000;
      this.#highest = sequence;
    }
    this.#received++;
    // 32-bit ticks, so that only the difference between two packets matters.
    const transit = (Math.round(nowMs * this.#ticksPerMs) - timestamp) | 0;
    if (this.#transit !== undefined) {
      this.#jitter += (Math.abs((transit - this.#transit) | 0) - this.#jitter) / 16;
    }
    this.#transit = transit;
  }

  onSenderReport(report: SenderReport, nowMs: number): void {
    this.#report = { middle: report.ntpMiddle, atMs: nowMs };
  }

  /** The report block since the last call, or undefined while nothing came. */
  takeReport(nowMs: number): ReportBlock | undefined {
    if (this.#ssrc === undefined) return undefined;
    const expected = this.#cycles + this.#highest - this.#base + 1;
    const expectedNow = expected - this.#expectedBefore;
    const lostNow = expectedNow - (this.#received - this.#receivedBefore);
    this.#expectedBefore = expected;
    this.#receivedBefore = this.#received;
    return {
      ssrc: this.#ssrc,
      fractionLost: expectedNow > 0 && lostNow > 0 ? Math.min(255, Math.floor((lostNow * 256) / expectedNow)) : 0,
      cumulativeLost: expected - this.#received,
      highestSequence: this.#cycles + this.#highest,
      jitter: Math.min(0xffffffff, Math.round(this.#jitter)),
      lastSenderReport: this.#report?.middle ?? 0,
      delaySinceLastSenderReport: this.#report ? Math.round(((nowMs - this.#report.atMs) * 65_536) / 1000) : 0,
    };
  }

  #restart(ssrc: number, sequence: number): void {
    this.#ssrc = ssrc;
    this.#base = sequence;
    this.#highest = sequence;
    this.#cycles = 0;
    this.#received = 0;
    this.#expectedBefore = 0;
    this.#receivedBefore = 0;
    this.#transit = undefined;
    this.#jitter = 0;
  }
}
