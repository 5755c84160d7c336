import { aacFrameSamples, parseAacConfig, serializeAacConfig } from "../codecs/aac.ts";
import { opusClockRate, opusPacketSamples } from "../codecs/opus.ts";
import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import { Backoff } from "../flow/backoff.ts";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock, Timer } from "../time/clock.ts";
import type { OpenOpusEncoder, OpusEncoder } from "./ffmpeg-encoder.ts";
import { rescaleTicks, SoundTimeline } from "./sound-timeline.ts";

/** Counters of all encoders of a node. */
export interface OpusCounters {
  /** Children that run now. */
  running: number;
  started: number;
  /** Starts after a child ended by itself or was found stuck. */
  restarted: number;
  /** Streams left without sound because enough encoders ran already. */
  refused: number;
  /** AAC frames that never reached an encoder. */
  droppedFrames: number;
  packets: number;
}

export interface OpusTrackOptions {
  readonly openEncoder: OpenOpusEncoder;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly counters: OpusCounters;
  readonly random?: () => number;
  readonly onSample: (sample: Sample) => void;
}

/** First pause after a child ended, and the longest: an ffmpeg that cannot work costs two starts a minute. */
const firstPauseMs = 250;
const longestPauseMs = 30_000;
/** A child that lived as long as this was well. */
const healthyMs = 30_000;
/** A child that returned nothing for so long, though so much went in, is stuck. */
const stuckMs = 5_000;
const stuckFrames = 50;

/** The Opus track that stands in the place of an AAC track: same id and name, so that playlists find it. */
export function opusTrackOf(aac: Track): Track {
  const channels = (aac.audio?.channels ?? 2) === 1 ? 1 : 2;
  const { decoderConfig: _, ...rest } = aac;
  return {
    ...rest,
    codec: "opus",
    timescale: opusClockRate,
    bitrate: channels === 1 ? 64_000 : 96_000,
    audio: { sampleRate: opusClockRate, channels },
  };
}

/** Object types whose frames are 1,024 samples (ISO 14496-3 table 1.17): Main, LC, SSR, LTP, and LC with SBR and PS. */
const knownObjectTypes = [1, 2, 3, 4, 5, 29];

/** Why a track cannot be converted, for people; undefined when it can. */
export function unconvertible(track: Track): string | undefined {
  try {
    const { objectType } = parseAacConfig(configOf(track));
    return knownObjectTypes.includes(objectType) ? undefined : `it is AAC of object type ${objectType}`;
  } catch (thrown) {
    return messageOf(thrown);
  }
}

/** AudioSpecificConfig. */
function configOf({ decoderConfig, audio }: Track): Uint8Array {
  const { sampleRate = 48_000, channels = 2 } = audio ?? {};
  return decoderConfig ?? serializeAacConfig({ objectType: 2, sampleRate, channels });
}

/** One AAC track on its way to Opus: keeps an encoder running, and gives what comes out its source time. */
export class OpusTrack {
  readonly #source: Track;
  readonly #frameSeconds: number;
  readonly #options: OpusTrackOptions;
  readonly #backoff: Backoff;
  readonly #ends = new Set<Promise<void>>();
  #encoder: OpusEncoder | undefined;
  #timeline: SoundTimeline;
  #startedMs = 0;
  /** When the encoder last returned something, or began. */
  #heardMs = 0;
  #pause: Timer | undefined;
  #lastPts = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  /** Starts the first encoder. @param source an AAC track that is not {@link unconvertible} */
  constructor(source: Track, options: OpusTrackOptions) {
    this.#source = source;
    this.#frameSeconds = aacFrameSamples / parseAacConfig(configOf(source)).sampleRate;
    this.#options = options;
    this.#backoff = new Backoff(firstPauseMs, longestPauseMs, options.random);
    this.#timeline = new SoundTimeline(this.#frameSeconds);
    this.#start();
  }

  get source(): Track {
    return this.#source;
  }

  /** One AAC frame. Never waits and never throws: without an encoder it is dropped. */
  push({ data, pts }: Sample): void {
    const { counters, clock } = this.#options;
    const encoder = this.#encoder;
    if (!encoder?.push(data)) counters.droppedFrames++;
    else this.#timeline.feed(rescaleTicks(pts, this.#source.timescale, opusClockRate));
    const isWaitedFor = this.#timeline.framesAhead > stuckFrames;
    if (encoder && isWaitedFor && clock.nowMs() - this.#heardMs > stuckMs) {
      this.#lost(encoder, "ffmpeg takes sound and returns none");
    }
  }

  /** What follows does not continue what came before: begins with a new encoder. */
  restart(): void {
    this.#drop();
    this.#lastPts = Number.NEGATIVE_INFINITY;
    this.#start();
  }

  /** Resolves when every child is gone. May be called twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#drop();
    await Promise.all(this.#ends);
  }

  #start(): void {
    this.#pause?.cancel();
    this.#pause = undefined;
    if (this.#isClosed) return;
    const { openEncoder, counters, clock } = this.#options;
    const timeline = (this.#timeline = new SoundTimeline(this.#frameSeconds));
    this.#startedMs = this.#heardMs = clock.nowMs();
    counters.started++;
    counters.running++;
    const end = Promise.withResolvers<void>();
    this.#ends.add(end.promise);
    const encoder: OpusEncoder = openEncoder(
      {
        channels: opusTrackOf(this.#source).audio?.channels === 1 ? 1 : 2,
        decoderConfig: configOf(this.#source),
        frameSeconds: this.#frameSeconds,
      },
      {
        onPreSkip: (samples) => timeline.skip(samples),
        onPacket: (packet) => this.#take(packet, timeline),
        onEnd: (message) => {
          counters.running--;
          this.#ends.delete(end.promise);
          end.resolve();
          if (this.#encoder === encoder) this.#lost(encoder, message);
        },
      },
    );
    this.#encoder = encoder;
  }

  #take(data: Uint8Array, timeline: SoundTimeline): void {
    // An encoder that was let go of has something left to say.
    if (timeline !== this.#timeline) return;
    this.#heardMs = this.#options.clock.nowMs();
    const duration = opusPacketSamples(data);
    const pts = timeline.take(duration);
    // A new encoder begins a little before the old one's last packet.
    if (pts === undefined || pts <= this.#lastPts) return;
    this.#lastPts = pts;
    this.#options.counters.packets++;
    this.#options.onSample({ trackId: this.#source.id, pts, dts: pts, duration, isKeyframe: true, data });
  }

  /** The encoder ended, or is of no use any more: goes on with another one after a pause. */
  #lost(encoder: OpusEncoder, reason: string): void {
    if (this.#isClosed || this.#encoder !== encoder) return;
    const { clock, logger, counters } = this.#options;
    this.#drop();
    if (clock.nowMs() - this.#startedMs >= healthyMs) this.#backoff.reset();
    const pauseMs = this.#backoff.next();
    counters.restarted++;
    logger.warn("sound for WebRTC stopped", { track: this.#source.id, reason, retryMs: Math.round(pauseMs) });
    this.#pause = clock.after(pauseMs, () => this.#start());
  }

  #drop(): void {
    const encoder = this.#encoder;
    this.#encoder = undefined;
    this.#pause?.cancel();
    this.#pause = undefined;
    void encoder?.close();
  }
}
