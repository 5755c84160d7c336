import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import { createPacketizer, type Packetizer } from "../rtp/packetizer.ts";
import { PacketHistory, type PacketFrame } from "./packet-history.ts";
import type { TrackSender } from "./track-sender.ts";

/** Makes what cuts a track's samples into packets; undefined when it has no RTP payload format. */
export type NewPacketizer = (track: Track, maxPacketBytes: number) => Packetizer | undefined;

/** Long enough for a late NACK after a lost key frame and for the burst of a joining viewer. */
const historyMs = 4_000;
const historyBytes = 16 * 1024 * 1024;
/** Pictures out of order that prove B-frames. */
const minReordered = 3;

/** One track of one stream as RTP: every sample is packetized once here, then handed to each viewer's sender. */
export class TrackFanOut {
  readonly history = new PacketHistory(historyMs, historyBytes);
  readonly senders = new Set<TrackSender>();
  /** Senders that move to this track with its next key frame. */
  readonly arriving = new Set<TrackSender>();
  readonly #maxPacketBytes: number;
  readonly #timestampOffset: number;
  readonly #newPacketizer: NewPacketizer;
  #track: Track;
  #packetizer: Packetizer;
  #latestPts = Number.NEGATIVE_INFINITY;
  #intervalMs = Number.POSITIVE_INFINITY;
  #reordered = 0;

  /**
   * @param timestampOffset random, equal for all tracks of a stream that share an RTP clock rate
   * @throws {ProtocolError} when the track's decoder configuration is unreadable
   */
  constructor(track: Track, timestampOffset: number, maxPacketBytes: number, newPacketizer = cutting) {
    this.#maxPacketBytes = maxPacketBytes;
    this.#timestampOffset = timestampOffset;
    this.#track = track;
    this.#newPacketizer = newPacketizer;
    this.#packetizer = this.#packetizerOf(track);
  }

  get track(): Track {
    return this.#track;
  }

  /** Whether pictures come in another order than they are shown. */
  get isReordered(): boolean {
    return this.#reordered >= minReordered;
  }

  /** From the sample before the last one to the last; infinite before the second. */
  get intervalMs(): number {
    return this.#intervalMs;
  }

  get clockRate(): number {
    return this.#packetizer.clockRate;
  }

  /** Bits per second, as announced or measured, whichever is more. */
  get bitrate(): number {
    return Math.max(this.#track.bitrate, this.history.bitrate);
  }

  /** The same track in new words, such as another decoder configuration. */
  describe(track: Track): void {
    if (track === this.#track) return;
    this.#track = track;
    this.#packetizer = this.#packetizerOf(track);
  }

  #packetizerOf(track: Track): Packetizer {
    const packetizer = this.#newPacketizer(track, this.#maxPacketBytes);
    if (!packetizer) throw new Error(`${track.codec} has no RTP payload format here`);
    return packetizer;
  }

  /** Packetizes without sending: what was published before the first viewer came. */
  remember(sample: Sample, arrivedMs: number): PacketFrame | undefined {
    const { timescale } = this.#track;
    // Tolerates a jump back in time; one picture shown before its forerunner is no B-frame yet.
    if (this.#track.kind === "video" && sample.pts < this.#latestPts && !sample.isKeyframe) this.#reordered++;
    this.#intervalMs = ((sample.pts - this.#latestPts) * 1000) / timescale;
    this.#latestPts = sample.pts;
    const packets = this.history.takeSlab(sample.data.length);
    packets.begin(rtpTicks(sample.pts, timescale, this.clockRate) + this.#timestampOffset);
    this.#packetizer.packetize(sample.data, packets);
    return this.history.push(packets, sample.isKeyframe, (sample.pts / timescale) * 1000, arrivedMs);
  }

  /** Packetizes, and lets senders that waited for this key frame come over; then {@link senders} have something to send. */
  push(sample: Sample, nowMs: number): void {
    const frame = this.remember(sample, nowMs);
    if (frame?.isKeyframe) for (const sender of this.arriving) sender.arrive(this, frame);
  }
}

const cutting: NewPacketizer = ({ codec, decoderConfig }, maxPacketBytes) =>
  createPacketizer(codec, { maxPacketBytes, decoderConfig });

/** `pts` of a track in ticks of its RTP clock, modulo 2³². */
export function rtpTicks(pts: number, timescale: number, clockRate: number): number {
  // Whole seconds apart from the rest: their product alone could leave the safe integers.
  const seconds = Math.floor(pts / timescale);
  const ticks = Math.round(((pts - seconds * timescale) * clockRate) / timescale);
  return ((seconds * clockRate + ticks) % 2 ** 32) >>> 0;
}
