import { hearthEpochMs } from "../core/epoch.ts";
import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import { RtpTimeline, type RtpTrackClock } from "../rtp/rtp-timeline.ts";
import type { Clock } from "../time/clock.ts";
import type { MediaPlan } from "./media-plan.ts";
import { MediaReceiver, type MediaCounters } from "./media-receiver.ts";
import type { PacketSink } from "./media-transport.ts";
import type { RtpInfo } from "./rtsp-headers.ts";
import { isIncomplete } from "./video-formats.ts";

export interface ReceivedMediaOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly ignoresSenderReports: boolean;
  readonly onSample: (sample: Sample) => void;
  /** A track turned out to be other than described. */
  readonly onTrack: () => void;
  readonly onFirstPacket: () => void;
  /** Nothing of a track can be shown before its next key frame; said once a second. */
  readonly onKeyframeNeeded: (trackId: number) => void;
  /** Every sender said goodbye; packets under way may still come. */
  readonly onBye: () => void;
}

/** A packet later than this is lost: decoders would have to wait too, and networks reorder by a few milliseconds. */
const reordering = { maxHeld: 512, maxHoldMs: 150 };

/** As viewers' wishes. */
const askEveryMs = 1_000;

/** A track the server granted. */
interface ActiveMedia {
  /** Its place among the tracks asked for. */
  readonly index: number;
  readonly uri: string;
  readonly plan: MediaPlan;
  readonly clock: RtpTrackClock;
  readonly receiver: MediaReceiver;
}

/** All tracks of one session: packets in by the track's place, samples out on one timeline. */
export class ReceivedMedia implements PacketSink {
  readonly #options: ReceivedMediaOptions;
  readonly #timeline: RtpTimeline;
  /** Unix milliseconds at the clock's zero, read once: our wall clock may jump. */
  readonly #wallAtZeroMs: number;
  readonly #media: ActiveMedia[] = [];
  readonly #byIndex: (ActiveMedia | undefined)[] = [];
  #hasPackets = false;
  #neededMs = Number.NEGATIVE_INFINITY;

  constructor(options: ReceivedMediaOptions) {
    const { clock, ignoresSenderReports } = options;
    this.#options = options;
    this.#wallAtZeroMs = clock.wallMs() - clock.nowMs();
    this.#timeline = new RtpTimeline({ epochMs: hearthEpochMs, ignoresSenderReports });
  }

  /** Ascending by id. */
  get tracks(): readonly Track[] {
    return this.#media.map(({ receiver }) => receiver.track).toSorted((a, b) => a.id - b.id);
  }

  /** By track id: what was lost so far. */
  get counters(): ReadonlyMap<number, MediaCounters> {
    return new Map(this.#media.map(({ plan, receiver }) => [plan.track.id, receiver.counters]));
  }

  /** See {@link RtpTimeline.senderClockErrorMs}. */
  get senderClockErrorMs(): number | undefined {
    return this.#timeline.senderClockErrorMs;
  }

  get hasPackets(): boolean {
    return this.#hasPackets;
  }

  /** Whether every track is described so that a decoder can be set up. */
  get isDescribed(): boolean {
    return this.#media.every(({ receiver }) => !isIncomplete(receiver.track));
  }

  /** @param isOrdered whether the transport keeps packets in order */
  add(index: number, uri: string, plan: MediaPlan, isOrdered: boolean): void {
    const { random, onSample, onTrack } = this.#options;
    const clock = this.#timeline.addTrack(plan.clockRate);
    const ssrc = Math.floor(random() * 2 ** 32);
    const order = isOrdered ? {} : { reordering };
    const receiver = new MediaReceiver({ plan, clock, ssrc, cname: "hearth", ...order, onSample, onTrack });
    const media = { index, uri, plan, clock, receiver };
    this.#media.push(media);
    this.#byIndex[index] = media;
  }

  /** Where the server says play begins; call before media comes. */
  setInfo(info: readonly RtpInfo[]): void {
    for (const [place, { rtpTimestamp, url }] of info.entries()) {
      // Servers write relative, absolute and wrong URLs here; the order is right even then.
      const media = this.#media.find(({ uri }) => uri === url || uri.endsWith(`/${url}`)) ?? this.#media[place];
      // 0 is almost always a server that does not know.
      if (rtpTimestamp) media?.clock.setInfo(rtpTimestamp);
    }
  }

  onRtp(index: number, packet: Uint8Array): void {
    const nowMs = this.#options.clock.nowMs();
    const media = this.#byIndex[index];
    media?.receiver.receiveRtp(packet, nowMs, this.#wallAtZeroMs + nowMs);
    if (media?.receiver.isWaitingForKeyframe && nowMs - this.#neededMs >= askEveryMs) {
      this.#neededMs = nowMs;
      this.#options.onKeyframeNeeded(media.plan.track.id);
    }
    if (this.#hasPackets) return;
    this.#hasPackets = true;
    this.#options.onFirstPacket();
  }

  onRtcp(index: number, packet: Uint8Array): void {
    const nowMs = this.#options.clock.nowMs();
    this.#byIndex[index]?.receiver.receiveRtcp(packet, nowMs, this.#wallAtZeroMs + nowMs);
    if (this.isOver) this.#options.onBye();
  }

  /** Gives up on packets waited for too long. */
  timeout(): void {
    const nowMs = this.#options.clock.nowMs();
    for (const { receiver } of this.#media) receiver.timeout(nowMs);
  }

  /** Some video came without anything one can begin with. */
  get lacksKeyframe(): boolean {
    return this.#media.some(({ receiver }) => receiver.lacksKeyframe);
  }

  /** Every sender said goodbye, and nothing came after that. */
  get isOver(): boolean {
    return this.#media.length > 0 && this.#media.every(({ receiver }) => receiver.isOver);
  }

  /** What to send for a key frame of a track, with the track's place; undefined where its server takes no such wish. */
  keyframeRequest(trackId: number): { readonly index: number; readonly packet: Uint8Array } | undefined {
    const media = this.#media.find(({ plan }) => plan.track.id === trackId);
    const packet = media?.receiver.keyframeRequest(this.#options.clock.nowMs());
    return media && packet && { index: media.index, packet };
  }

  /** A receiver report for each track, with the track's place. */
  takeReports(): readonly { readonly index: number; readonly report: Uint8Array }[] {
    const nowMs = this.#options.clock.nowMs();
    return this.#media.map(({ index, receiver }) => ({ index, report: receiver.takeReport(nowMs) }));
  }
}
