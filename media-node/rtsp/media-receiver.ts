import { haveSameBytes } from "../bytes/same-bytes.ts";
import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import type { Depacketizer, RtpFrame } from "../rtp/depacketizer.ts";
import { ReceptionStatistics } from "../rtp/reception-statistics.ts";
import { parseRtcp, serializeRtcp, type RtcpPacket } from "../rtp/rtcp.ts";
import { parseRtpPacket, type RtpPacket } from "../rtp/rtp-packet.ts";
import { RtpSequencer } from "../rtp/rtp-sequencer.ts";
import type { RtpTrackClock } from "../rtp/rtp-timeline.ts";
import { senderReportOf } from "../rtp/sender-report.ts";
import { audioOf } from "./audio-formats.ts";
import { DecodeTimes } from "./decode-times.ts";
import type { MediaPlan } from "./media-plan.ts";
import { describeKeyframe } from "./video-formats.ts";

export interface MediaReceiverOptions {
  readonly plan: MediaPlan;
  readonly clock: RtpTrackClock;
  /** Ours, in reports. */
  readonly ssrc: number;
  readonly cname: string;
  /** Packets and time a missing packet is waited for; `undefined` where the transport keeps order. */
  readonly reordering?: { readonly maxHeld: number; readonly maxHoldMs: number };
  readonly onSample: (sample: Sample) => void;
  /** The stream's own parameter sets differ from what was known. Called before the first sample that needs them. */
  readonly onTrack: (track: Track) => void;
}

/** What one track lost on its way; reported once a second at most, never per packet. */
export interface MediaCounters {
  readonly packets: number;
  /** Packets that never came. */
  readonly lost: number;
  /** Packets that came twice, or after their place was given up. */
  readonly repeated: number;
  readonly reordered: number;
  /** Packets that are no RTP, of another payload type or source. */
  readonly foreign: number;
  /** Frames thrown away because a part of them was lost. */
  readonly discarded: number;
  /** Whole video frames not passed on because the frames they refer to were lost. */
  readonly withheld: number;
  readonly jitterMs: number;
}

/** A sender that uses another payload type than it announced is believed after this many packets. */
const payloadTypeProof = 8;

/** One track: RTP packets in, samples out. Counts what is lost and never passes on a broken picture. */
export class MediaReceiver {
  readonly #options: MediaReceiverOptions;
  readonly #statistics: ReceptionStatistics;
  readonly #sequencer: RtpSequencer;
  readonly #depacketizer: Depacketizer;
  readonly #decodeTimes: DecodeTimes;
  #track: Track;
  #payloadType: number;
  #ssrc: number | undefined;
  #nextSequence: number | undefined;
  /** The latest of foreign packets alike, and how many there were in a row. */
  #stranger: { readonly packet: RtpPacket; readonly count: number } | undefined;
  #isAfterRestart = false;
  #isWaitingForKeyframe: boolean;
  /** Of the last picture: it was whole, and of no use. */
  #isWithholding = false;
  #hasPlayed = false;
  /** RTP timestamp of the picture that ended the last gap without being a key frame: earlier ones refer to lost ones. */
  #recoveredAt: number | undefined;
  /** After a start or a gap: leading pictures refer to what never came. */
  #skipsLeading = false;
  #isOver = false;
  #wallMs = 0;
  #packets = 0;
  #foreign = 0;
  #withheld = 0;
  #lastRtpMs: number | undefined;
  #firs = 0;

  constructor(options: MediaReceiverOptions) {
    const { plan } = options;
    this.#options = options;
    this.#track = plan.track;
    this.#payloadType = plan.payloadType;
    this.#isWaitingForKeyframe = plan.track.kind === "video";
    this.#statistics = new ReceptionStatistics(plan.clockRate);
    this.#depacketizer = plan.createDepacketizer((frame) => this.#onFrame(frame));
    this.#decodeTimes = new DecodeTimes(plan.reorderFrames, plan.clockRate / (plan.track.video?.framerate || 25));
    this.#sequencer = new RtpSequencer({
      maxHeld: options.reordering?.maxHeld ?? 0,
      maxHoldMs: options.reordering?.maxHoldMs ?? 0,
      deliver: (packet, isAfterLoss) => {
        this.#depacketizer.push(packet, isAfterLoss || this.#isAfterRestart);
        this.#isAfterRestart = false;
      },
    });
  }

  get track(): Track {
    return this.#track;
  }

  /** When media last came, on the caller's `nowMs`. */
  get lastRtpMs(): number | undefined {
    return this.#lastRtpMs;
  }

  /** Video of which pictures came, and none that one can begin with. */
  get lacksKeyframe(): boolean {
    return this.#withheld > 0 && !this.#hasPlayed;
  }

  /** Pictures come that refer to what never came, at the start or after a loss. */
  get isWaitingForKeyframe(): boolean {
    return this.#isWithholding;
  }

  /** The sender said goodbye (RFC 3550 §6.6), and nothing came after that. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get counters(): MediaCounters {
    return {
      packets: this.#packets,
      ...this.#sequencer.counters,
      foreign: this.#foreign,
      discarded: this.#depacketizer.discarded,
      withheld: this.#withheld,
      jitterMs: this.#statistics.jitterMs,
    };
  }

  /** When {@link timeout} should be called; undefined when nothing waits. */
  get nextTimeoutMs(): number | undefined {
    return this.#sequencer.nextTimeoutMs;
  }

  timeout(nowMs: number): void {
    this.#sequencer.timeout(nowMs);
  }

  /**
   * @param bytes one RTP packet; kept as a view until its frame is complete
   * @param wallMs Unix milliseconds on a clock that does not jump
   */
  receiveRtp(bytes: Uint8Array, nowMs: number, wallMs: number): void {
    let packet: RtpPacket;
    try {
      packet = parseRtpPacket(bytes);
    } catch {
      this.#foreign++;
      return;
    }
    this.#wallMs = wallMs;
    this.#lastRtpMs = nowMs;
    const isKnown = packet.payloadType === this.#payloadType && packet.ssrc === this.#ssrc;
    if (isKnown || this.#continues(packet)) this.#take(packet, nowMs);
    else this.#considerStranger(packet, nowMs);
  }

  receiveRtcp(bytes: Uint8Array, nowMs: number, wallMs: number): void {
    try {
      for (const packet of parseRtcp(bytes)) {
        if (packet.type === "bye" && this.#ssrc !== undefined && packet.ssrcs.includes(this.#ssrc)) this.#isOver = true;
        if (packet.type !== "sender-report") continue;
        const report = senderReportOf(packet);
        this.#statistics.onSenderReport(report, nowMs);
        this.#options.clock.onSenderReport(report, wallMs);
      }
    } catch {
      this.#foreign++;
    }
  }

  /** A receiver report to send. */
  takeReport(nowMs: number): Uint8Array {
    return this.#report(nowMs, []);
  }

  /** A wish for a key frame to send, in the words the server knows; undefined where it knows none, or nothing has come yet. */
  keyframeRequest(nowMs: number): Uint8Array | undefined {
    const { ssrc: senderSsrc, plan } = this.#options;
    const mediaSsrc = this.#ssrc;
    if (plan.keyframeRequest === undefined || mediaSsrc === undefined) return undefined;
    if (plan.keyframeRequest === "pli") return this.#report(nowMs, [{ type: "pli", senderSsrc, mediaSsrc }]);
    // RFC 5104 §4.3.1.1: a wish with a new number is a new wish.
    this.#firs = (this.#firs + 1) & 0xff;
    return this.#report(nowMs, [{ type: "fir", senderSsrc, entries: [{ ssrc: mediaSsrc, sequence: this.#firs }] }]);
  }

  /** Feedback stands behind a report and a name (RFC 4585 §3.1). */
  #report(nowMs: number, feedback: readonly RtcpPacket[]): Uint8Array {
    const { ssrc, cname } = this.#options;
    const report = this.#statistics.takeReport(nowMs);
    return serializeRtcp([
      { type: "receiver-report", ssrc, reports: report ? [report] : [] },
      { type: "source-description", chunks: [{ ssrc, cname }] },
      ...feedback,
    ]);
  }

  #take(packet: RtpPacket, nowMs: number): void {
    this.#packets++;
    this.#isOver = false;
    this.#stranger = undefined;
    this.#nextSequence = (packet.sequence + 1) & 0xffff;
    this.#statistics.onPacket(packet, nowMs);
    this.#sequencer.push(packet, nowMs);
  }

  /** The first packet, or one of a sender that changes its SSRC and numbers on: some do so at every key frame. */
  #continues({ ssrc, sequence, payloadType }: RtpPacket): boolean {
    if (payloadType !== this.#payloadType) return false;
    if (this.#ssrc !== undefined && sequence !== this.#nextSequence) return false;
    this.#ssrc = ssrc;
    return true;
  }

  /** A second packet proves a new source; another payload type counts only where the announced one never came. */
  #considerStranger(packet: RtpPacket, nowMs: number): void {
    const { ssrc, payloadType } = packet;
    const before = this.#stranger;
    const isSame = before?.packet.ssrc === ssrc && before.packet.payloadType === payloadType;
    const count = isSame ? before.count + 1 : 1;
    const isWrongType = payloadType !== this.#payloadType;
    const isProven = isWrongType ? this.#packets === 0 && count >= payloadTypeProof : count >= 2;
    if (!isProven) {
      this.#foreign++;
      this.#stranger = { packet, count };
      return;
    }
    this.#payloadType = payloadType;
    if (this.#ssrc !== undefined) this.#restart();
    this.#ssrc = ssrc;
    // The first packet of a new source is often the beginning of a key frame.
    if (before && count === 2) {
      this.#foreign--;
      this.#take(before.packet, nowMs);
    }
    this.#take(packet, nowMs);
  }

  /** The sender began anew: sequence numbers and timestamps do not continue. */
  #restart(): void {
    this.#sequencer.flush();
    this.#options.clock.restart();
    this.#isAfterRestart = true;
  }

  #onFrame(frame: RtpFrame): void {
    if (this.#track.kind === "video") {
      const isWithheld = this.#isWithheld(frame);
      this.#isWithholding = this.#isWaitingForKeyframe;
      if (isWithheld) {
        this.#withheld++;
        return;
      }
      if (frame.isKeyframe) this.#learn(frame);
    } else if (frame.audioConfig) this.#learnSound(frame.audioConfig);
    const pts = this.#options.clock.toTicks(frame.timestamp, this.#wallMs);
    this.#options.onSample({
      trackId: this.#track.id,
      pts,
      dts: this.#decodeTimes.next(pts),
      duration: 0,
      isKeyframe: frame.isKeyframe,
      data: frame.data,
    });
  }

  /** Whether a picture refers to some that never came. */
  #isWithheld({ isKeyframe, isAfterLoss, isRecovery = false, isLeading = false, timestamp }: RtpFrame): boolean {
    const isStart = isKeyframe || (isRecovery && this.#hasPlayed);
    if (isAfterLoss && !isStart) this.#isWaitingForKeyframe = true;
    if (isStart && (isAfterLoss || this.#isWaitingForKeyframe)) {
      this.#isWaitingForKeyframe = false;
      this.#skipsLeading = isKeyframe;
      this.#recoveredAt = isKeyframe ? undefined : timestamp;
    } else if (isKeyframe) {
      this.#skipsLeading = false;
      this.#recoveredAt = undefined;
    }
    if (this.#isWaitingForKeyframe || (isLeading && this.#skipsLeading)) return true;
    this.#hasPlayed = true;
    return this.#recoveredAt !== undefined && ((timestamp - this.#recoveredAt) | 0) < 0;
  }

  #learnSound(decoderConfig: Uint8Array): void {
    if (haveSameBytes(this.#track.decoderConfig, decoderConfig)) return;
    this.#track = { ...this.#track, audio: audioOf(decoderConfig, this.#track), decoderConfig };
    this.#options.onTrack(this.#track);
  }

  /** Key frames may bring parameter sets that differ from those known. */
  #learn({ parameterSets, data }: RtpFrame): void {
    const described = describeKeyframe(this.#track, parameterSets, data);
    if (!described) return;
    const { video, decoderConfig, reorderFrames } = described;
    this.#decodeTimes.deepen(reorderFrames);
    this.#track = { ...this.#track, video, ...(decoderConfig && { decoderConfig }) };
    this.#options.onTrack(this.#track);
  }
}
