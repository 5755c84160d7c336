import { RtpTimestampUnwrapper } from "./rtp-timestamp-unwrapper.ts";
import type { SenderReport } from "./sender-report.ts";

export interface RtpTimelineOptions {
  /** Unix milliseconds at which all output timestamps are 0. */
  readonly epochMs: number;
  /** Tracks are aligned by RTP-Info and arrival only: for senders whose reports are wrong. */
  readonly ignoresSenderReports?: boolean;
}

/** A sender's clock this near to ours is taken as true; further away it only ties its tracks together. */
const plausibleMs = 10_000;
/** A first report that would move media already given out by more than this is absorbed instead. */
const maxFirstShiftMs = 2_000;
/** A report further off than this shows that the sender's wall clock was set, not that it drifts. */
const clockSetMs = 3_000;
/** A timestamp this far from what the arrival suggests shows that the RTP clock began anew. */
const rtpJumpMs = 3_000;
/** No encoder reorders pictures by more than this. */
const maxReorderMs = 1_000;
/** A report that speaks of an instant this far from the media belongs to another clock. */
const foreignReportMs = 20_000;
/**
 * RTP-Info further than this from the arrival is disbelieved: servers that send one stream to many write the time of each
 * track's last packet, which lie as far apart as the tracks' packets do.
 */
const maxInfoErrorMs = 250;
/**
 * Offsets between RTP time and output time are whole multiples of 1/200 s, so that two nodes that read different
 * reports of one sender, each with its own error of microseconds, still give out equal timestamps.
 */
const gridPerSecond = 200;
/** Corrections are spread: at most one tick in this many, so that playback never stumbles. */
const slewDivisor = 50;

/** One clock for all RTP streams of one sender. */
export class RtpTimeline {
  readonly #options: RtpTimelineOptions;
  readonly #tracks: RtpTrackClock[] = [];
  /** Added to the sender's wall clock; undefined before its first report. */
  #ntpShiftMs: number | undefined;
  /** Wall time of the instant that RTP-Info speaks of. */
  #infoWallMs: number | undefined;

  constructor(options: RtpTimelineOptions) {
    this.#options = options;
  }

  /** By how much the sender's wall clock is ahead of the output; 0 where they are one, undefined before a report. */
  get senderClockErrorMs(): number | undefined {
    return this.#ntpShiftMs === undefined ? undefined : -this.#ntpShiftMs;
  }

  /** Whether output times are the sender's own wall clock, so that other nodes arrive at the same. */
  get isSenderClock(): boolean {
    return this.#ntpShiftMs === 0;
  }

  /** @param clockRate RTP ticks per second, which is also the unit of the output */
  addTrack(clockRate: number): RtpTrackClock {
    const track: RtpTrackClock = new RtpTrackClock(clockRate, {
      firstWallMs: (sinceInfoMs, wallMs) => this.#firstWallMs(sinceInfoMs, wallMs),
      senderOffset: (report, rtp, offset, wallMs) => this.#senderOffset(report, rtp, offset, wallMs, clockRate),
      onFirstReport: (movedMs) => {
        for (const other of this.#tracks) if (other !== track) other.follow(movedMs);
      },
      epochMs: this.#options.epochMs,
    });
    this.#tracks.push(track);
    return track;
  }

  #firstWallMs(sinceInfoMs: number | undefined, wallMs: number): number {
    if (sinceInfoMs === undefined || Math.abs(sinceInfoMs) > rtpJumpMs) return wallMs;
    this.#infoWallMs ??= wallMs - sinceInfoMs;
    const claimedMs = this.#infoWallMs + sinceInfoMs;
    return Math.abs(claimedMs - wallMs) <= maxInfoErrorMs ? claimedMs : wallMs;
  }

  /** The exact offset in ticks that `report` asks for, or undefined when it says nothing. */
  #senderOffset(
    { ntpMs }: SenderReport,
    rtp: number,
    offset: number | undefined,
    wallMs: number,
    clockRate: number,
  ): number | undefined {
    if (this.#options.ignoresSenderReports || ntpMs === 0) return undefined;
    const exact = (shiftMs: number): number => ((ntpMs + shiftMs - this.#options.epochMs) * clockRate) / 1000 - rtp;
    const movesMs = (shiftMs: number): number =>
      offset === undefined ? 0 : ((exact(shiftMs) - offset) * 1000) / clockRate;
    if (this.#ntpShiftMs === undefined) {
      const isPlausible = Math.abs(ntpMs - wallMs) < plausibleMs;
      if (isPlausible && Math.abs(movesMs(0)) <= maxFirstShiftMs) this.#ntpShiftMs = 0;
      else this.#ntpShiftMs = offset === undefined ? wallMs - ntpMs : -movesMs(0);
    } else if (Math.abs(movesMs(this.#ntpShiftMs)) > clockSetMs) this.#ntpShiftMs -= movesMs(this.#ntpShiftMs);
    return exact(this.#ntpShiftMs);
  }
}

/** What a track asks of its timeline. */
interface TimelineSide {
  readonly epochMs: number;
  firstWallMs(sinceInfoMs: number | undefined, wallMs: number): number;
  senderOffset(report: SenderReport, rtp: number, offset: number | undefined, wallMs: number): number | undefined;
  onFirstReport(movedMs: number): void;
}

/** Maps one RTP stream's timestamps to ticks since the timeline's epoch. */
export class RtpTrackClock {
  readonly #clockRate: number;
  readonly #timeline: TimelineSide;
  readonly #unwrapper = new RtpTimestampUnwrapper();
  #infoTimestamp: number | undefined;
  /** Output ticks minus RTP ticks; undefined before the first packet or report. */
  #offset: number | undefined;
  #target = 0;
  #hasReport = false;
  #last: { rtp: number; wallMs: number } | undefined;
  #isRestarting = false;
  /** Arrival minus output time, as it is when nothing stalls. */
  #usualDelayMs = 0;

  constructor(clockRate: number, timeline: TimelineSide) {
    this.#clockRate = clockRate;
    this.#timeline = timeline;
  }

  /** The RTP timestamp that RTP-Info (RFC 2326 §12.33) gives for the beginning of play. */
  setInfo(rtpTimestamp: number): void {
    this.#infoTimestamp = rtpTimestamp;
  }

  /** The stream begins anew with other timestamps, e.g. a new SSRC: output goes on by arrival. */
  restart(): void {
    this.#isRestarting = this.#last !== undefined;
  }

  /**
   * @param wallMs Unix milliseconds of the arrival, on a clock that does not jump
   * @returns ticks since the epoch; never jumps back by more than the source's own reordering
   */
  toTicks(timestamp: number, wallMs: number): number {
    if (this.#offset === undefined) this.#anchor(timestamp, wallMs);
    else if (this.#last && (this.#isRestarting || this.#hasJumped(timestamp, this.#last, wallMs))) {
      this.#reanchor(timestamp, this.#last, wallMs);
    }
    const rtp = this.#unwrapper.unwrap(timestamp);
    this.#slew(rtp);
    this.#learnDelay(rtp, wallMs);
    if (!this.#last || rtp >= this.#last.rtp) this.#last = { rtp, wallMs };
    return rtp + this.#offset!;
  }

  onSenderReport(report: SenderReport, wallMs: number): void {
    const rtp = this.#unwrapper.peek(report.rtpTimestamp);
    if (this.#last && Math.abs(rtp - this.#last.rtp) > (foreignReportMs * this.#clockRate) / 1000) return;
    const exact = this.#timeline.senderOffset(
      report,
      rtp,
      this.#offset === undefined ? undefined : this.#target,
      wallMs,
    );
    if (exact === undefined) return;
    if (this.#offset === undefined) {
      this.#unwrapper.unwrap(report.rtpTimestamp);
      this.#offset = this.#target = this.#onGrid(exact);
    } else if (!this.#hasReport || Math.abs(exact - this.#target) > this.#clockRate / gridPerSecond) {
      const before = this.#target;
      this.#target = this.#onGrid(exact);
      if (!this.#hasReport) this.#timeline.onFirstReport(((this.#target - before) * 1000) / this.#clockRate);
    }
    this.#hasReport = true;
  }

  /** Moves along with a sibling that got its first report, until this track has one of its own. */
  follow(movedMs: number): void {
    if (this.#hasReport || this.#offset === undefined) return;
    this.#target = this.#onGrid(this.#target + (movedMs * this.#clockRate) / 1000);
  }

  #anchor(timestamp: number, wallMs: number): void {
    const sinceInfoMs =
      this.#infoTimestamp === undefined
        ? undefined
        : (((timestamp - this.#infoTimestamp) | 0) * 1000) / this.#clockRate;
    const firstMs = this.#timeline.firstWallMs(sinceInfoMs, wallMs);
    const ticks = ((firstMs - this.#timeline.epochMs) * this.#clockRate) / 1000;
    this.#offset = this.#target = this.#onGrid(ticks - this.#unwrapper.unwrap(timestamp));
  }

  /** A step that neither the time since the last packet nor the usual delay explains. */
  #hasJumped(timestamp: number, last: { rtp: number; wallMs: number }, wallMs: number): boolean {
    const rtp = this.#unwrapper.peek(timestamp);
    const stepMs = ((rtp - last.rtp) * 1000) / this.#clockRate;
    if (stepMs >= -maxReorderMs && stepMs <= rtpJumpMs) return false;
    const isExplained = stepMs > 0 && Math.abs(stepMs - (wallMs - last.wallMs)) <= rtpJumpMs;
    return !isExplained && Math.abs(this.#delayMs(rtp, wallMs) - this.#usualDelayMs) > rtpJumpMs;
  }

  #delayMs(rtp: number, wallMs: number): number {
    return wallMs - this.#timeline.epochMs - ((rtp + this.#offset!) * 1000) / this.#clockRate;
  }

  /** The least delay counts, so that a stall does not; it rises slowly, for clocks that drift apart. */
  #learnDelay(rtp: number, wallMs: number): void {
    const delayMs = this.#delayMs(rtp, wallMs);
    if (!this.#last || delayMs < this.#usualDelayMs) this.#usualDelayMs = delayMs;
    else this.#usualDelayMs += (delayMs - this.#usualDelayMs) / 1_000;
  }

  /** Goes on where the output stopped, plus the time that passed since. */
  #reanchor(timestamp: number, last: { rtp: number; wallMs: number }, wallMs: number): void {
    const lastTicks = last.rtp + this.#offset!;
    const passedTicks = (Math.max(1, wallMs - last.wallMs) * this.#clockRate) / 1000;
    this.#unwrapper.reset();
    const exact = lastTicks + passedTicks - this.#unwrapper.unwrap(timestamp);
    this.#offset = this.#target = Math.ceil(exact);
    this.#isRestarting = false;
    this.#hasReport = false;
    this.#last = undefined;
  }

  #slew(rtp: number): void {
    const missing = this.#target - this.#offset!;
    if (missing === 0 || !this.#last) return;
    const most = Math.max(0, Math.floor((rtp - this.#last.rtp) / slewDivisor));
    this.#offset! += Math.max(-most, Math.min(most, missing));
  }

  /** Rounds modulo 2³², so that nodes that joined before and after a wrap of the RTP clock round alike. */
  #onGrid(exactOffset: number): number {
    const cycles = Math.floor(exactOffset / 2 ** 32) * 2 ** 32;
    const steps = Math.round(((exactOffset - cycles) * gridPerSecond) / this.#clockRate);
    return cycles + Math.round((steps * this.#clockRate) / gridPerSecond);
  }
}
