import type { Sample } from "../core/sample.ts";
import type { Stream, StreamDescription } from "../core/stream.ts";
import type { Track } from "../core/track.ts";
import type { CloseReason } from "../flow/close-group.ts";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock, Timer } from "../time/clock.ts";
import type { WebRtcConfig } from "./config.ts";
import type { MediaPort } from "./media-port.ts";
import { randomUint32, type RandomBytes } from "./random.ts";
import { TrackFanOut, type NewPacketizer } from "./track-fan-out.ts";
import type { TrackSender } from "./track-sender.ts";

/** What the fan-out calls on each of its viewers. */
export interface FanOutViewer {
  /** Goes on sending what pacing held back. @returns whether something is still left */
  resume(nowMs: number): boolean;
  /** Sends a sender report when one is due. */
  report(epochMs: number, nowMs: number): void;
  onDescription(description: StreamDescription, isDiscontinuity: boolean): void;
  onTrackWithdrawn(trackId: number): void;
  onStreamEnd(reason: CloseReason): void;
}

export interface FanOutOptions {
  readonly port: MediaPort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random: RandomBytes;
  readonly config: WebRtcConfig;
  /** Runs a function in a later turn of the event loop, as soon as other work had its chance: `setImmediate`. */
  readonly defer: (run: () => void) => void;
  /** Default by the track's codec. */
  readonly newPacketizer?: NewPacketizer;
}

/** Viewers served in one turn: about two milliseconds of work, so that nothing else waits longer. */
const sliceSize = 100;

/** How often paced viewers get their next train: about as long as the first trains of 200 viewers take to leave. */
const paceMs = 3;
/** How often due sender reports are looked for; the first must leave within 100 ms of the first packet. */
const reportMs = 90;

/**
 * Sound beside a picture leaves by pairs: a packet alone costs the kernel as much as a whole picture's train, and sound was
 * two fifths of what a viewer cost. The first of a pair waits for the second where that is due within this time…
 */
const maxSoundIntervalMs = 22;
/** …and this long at most. Less than a picture lasts, which sound waits for at the viewer's anyway. */
const soundWaitMs = 25;

function resumeSender(sender: TrackSender, nowMs: number): void {
  sender.resume(nowMs);
}

/**
 * One stream on its way to all its WebRTC viewers. Reads the stream only while it has viewers; tracks nobody watches
 * are not packetized.
 */
export class StreamFanOut {
  readonly stream: Stream;
  readonly #options: FanOutOptions;
  readonly #tracks = new Map<number, TrackFanOut>();
  readonly #offsets = new Map<number, number>();
  readonly #viewers = new Set<FanOutViewer>();
  /** Viewers that pacing left with something to send. */
  #lagging = new Set<FanOutViewer>();
  #leave: (() => void) | undefined;
  #paceTimer: Timer | undefined;
  #reportTimer: Timer | undefined;
  /** Sound that waits for the next packet of its track, with the end of its patience. */
  readonly #waitingSound = new Map<TrackFanOut, Timer>();

  constructor(stream: Stream, options: FanOutOptions) {
    this.stream = stream;
    this.#options = options;
  }

  /** Adds a viewer whose senders will follow tracks of {@link track}. */
  add(viewer: FanOutViewer): void {
    this.#viewers.add(viewer);
    if (this.#leave) return;
    this.#scheduleReports();
    this.#leave = this.stream.addReader({
      onSample: (sample, track) => this.#onSample(sample, track),
      onDescription: (description, isDiscontinuity) => this.#onDescription(description, isDiscontinuity),
      onEnd: (reason) => this.#end(reason),
    });
  }

  /** May be called twice. */
  remove(viewer: FanOutViewer): void {
    if (!this.#viewers.delete(viewer) || this.#viewers.size > 0) return;
    this.#stop();
  }

  /** The fan-out of a track, filled with the recent media of the stream; undefined when it cannot be sent by RTP. */
  track(id: number): TrackFanOut | undefined {
    const known = this.#tracks.get(id);
    if (known) return known;
    const track = this.stream.track(id);
    if (!track) return undefined;
    try {
      const fanOut = new TrackFanOut(
        track,
        this.#offsetOf(track),
        this.#options.config.maxPacketBytes,
        this.#options.newPacketizer,
      );
      this.#tracks.set(id, fanOut);
      this.#fillWithRecent(fanOut);
      return fanOut;
    } catch (thrown) {
      this.#options.logger.warn("track cannot be sent", { track: id, codec: track.codec, error: messageOf(thrown) });
      this.#tracks.delete(id);
      return undefined;
    }
  }

  /** `viewer` was left with packets: it is resumed on the next pacing tick. */
  schedulePacing(viewer: FanOutViewer): void {
    this.#lagging.add(viewer);
    this.#paceTimer ??= this.#options.clock.after(paceMs, () => this.#pace());
  }

  #pace(): void {
    this.#paceTimer = undefined;
    const due = this.#lagging;
    this.#lagging = new Set();
    this.#inSlices(due.values(), (viewer, nowMs) => {
      if (viewer.resume(nowMs)) this.schedulePacing(viewer);
    });
  }

  /** Calls `act` for all, flushing after each slice and letting the event loop turn in between. */
  #inSlices<T>(all: Iterator<T>, act: (one: T, nowMs: number) => void): void {
    const nowMs = this.#options.clock.nowMs();
    for (let i = 0; i < sliceSize; i++) {
      const { value, done } = all.next();
      if (done) return this.#options.port.flush();
      act(value, nowMs);
    }
    this.#options.port.flush();
    this.#options.defer(() => {
      if (this.#leave) this.#inSlices(all, act);
    });
  }

  #onSample(sample: Sample, track: Track): void {
    const fanOut = this.#tracks.get(track.id);
    if (!fanOut || (fanOut.senders.size === 0 && fanOut.arriving.size === 0)) {
      // Nobody follows it: forget it, so that a later viewer fills it from the stream's recent samples again.
      if (fanOut) this.#tracks.delete(track.id);
      return;
    }
    try {
      fanOut.push(sample, this.#options.clock.nowMs());
    } catch (thrown) {
      this.#options.logger.error("sample not sent", { track: track.id, error: messageOf(thrown) });
    }
    if (track.kind === "audio" && this.#waitsForPair(fanOut)) return;
    this.#inSlices(fanOut.senders.values(), resumeSender);
    if (fanOut.isReordered) this.#withdraw(track);
  }

  /** Whether the sound that was just pushed leaves with the next. */
  #waitsForPair(fanOut: TrackFanOut): boolean {
    const patience = this.#waitingSound.get(fanOut);
    if (patience) {
      patience.cancel();
      this.#waitingSound.delete(fanOut);
      return false;
    }
    // A jump back in time is no interval.
    if (!(fanOut.intervalMs > 0 && fanOut.intervalMs <= maxSoundIntervalMs) || !this.#hasPicture()) return false;
    const leave = (): void => {
      this.#waitingSound.delete(fanOut);
      this.#inSlices(fanOut.senders.values(), resumeSender);
    };
    this.#waitingSound.set(fanOut, this.#options.clock.after(soundWaitMs, leave));
    return true;
  }

  #hasPicture(): boolean {
    for (const { track, senders } of this.#tracks.values()) if (track.kind === "video" && senders.size > 0) return true;
    return false;
  }

  /** B-frames began, which nothing announced: players would show a picture every now and then. */
  #withdraw(track: Track): void {
    this.#tracks.delete(track.id);
    this.#options.logger.warn("track withdrawn from WebRTC", { track: track.id, reason: "it has B-frames now" });
    for (const viewer of this.#viewers) viewer.onTrackWithdrawn(track.id);
  }

  #onDescription(description: StreamDescription, isDiscontinuity: boolean): void {
    for (const [id, fanOut] of this.#tracks) {
      const track = description.tracks.find((other) => other.id === id);
      try {
        if (track && track.codec === fanOut.track.codec) fanOut.describe(track);
        else this.#tracks.delete(id);
      } catch (thrown) {
        this.#options.logger.warn("track cannot be sent", { track: id, error: messageOf(thrown) });
        this.#tracks.delete(id);
      }
      if (isDiscontinuity) for (const sender of fanOut.senders) sender.waitForKeyframe();
    }
    for (const viewer of this.#viewers) viewer.onDescription(description, isDiscontinuity);
  }

  #end(reason: CloseReason): void {
    for (const viewer of this.#viewers) viewer.onStreamEnd(reason);
    this.#viewers.clear();
    this.#stop();
  }

  #stop(): void {
    this.#leave?.();
    this.#leave = undefined;
    this.#paceTimer?.cancel();
    this.#paceTimer = undefined;
    this.#reportTimer?.cancel();
    this.#reportTimer = undefined;
    for (const patience of this.#waitingSound.values()) patience.cancel();
    this.#waitingSound.clear();
    this.#tracks.clear();
    this.#lagging.clear();
  }

  #scheduleReports(): void {
    this.#reportTimer = this.#options.clock.after(reportMs, () => {
      this.#scheduleReports();
      const nowMs = this.#options.clock.nowMs();
      const { epochMs } = this.stream.description;
      for (const viewer of this.#viewers) viewer.report(epochMs, nowMs);
      this.#options.port.flush();
    });
  }

  /** Random for each RTP clock rate, so that renditions share one time line and it says nothing of the stream's age. */
  #offsetOf(track: Track): number {
    const key = track.kind === "video" ? 90_000 : track.timescale;
    const offset = this.#offsets.get(key) ?? randomUint32(this.#options.random);
    this.#offsets.set(key, offset);
    return offset;
  }

  #fillWithRecent(fanOut: TrackFanOut): void {
    const { track } = fanOut;
    const samples = this.stream.recentSamples().filter((sample) => sample.trackId === track.id);
    const last = samples.at(-1);
    if (!last) return;
    // A source that fell silent does not get younger by that.
    const { lastSampleMs } = this.stream.stats;
    for (const sample of samples) {
      fanOut.remember(sample, lastSampleMs - ((last.dts - sample.dts) / track.timescale) * 1000);
    }
  }
}
