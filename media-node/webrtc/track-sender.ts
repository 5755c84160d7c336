import { messageOf } from "../flow/errors.ts";
import { serializePlayoutDelay, type PlayoutDelay } from "../rtp/playout-delay.ts";
import type { RandomBytes } from "./random.ts";
import { randomUint32 } from "./random.ts";
import type { PeerTransport } from "./media-port.ts";
import type { PacketFrame, PacketHistory } from "./packet-history.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { TrackFanOut } from "./track-fan-out.ts";
import type { WebRtcConfig } from "./config.ts";

/** How one section of a viewer's description carries a track. */
export interface SenderFormat {
  readonly kind: "video" | "audio";
  readonly codec: string;
  readonly ssrc: number;
  readonly payloadType: number;
  /** Both or none (RFC 4588). */
  readonly rtxSsrc: number | undefined;
  readonly rtxPayloadType: number | undefined;
  /** Agreed on, with its number in this section. */
  readonly playoutDelay?: (PlayoutDelay & { readonly id: number }) | undefined;
}

/** From `fromPacket` on, the viewer's packet index plus `shift` is the index in that track's history. */
interface Run {
  readonly fanOut: TrackFanOut;
  readonly fromPacket: number;
  readonly shift: number;
}

/** How many jumps (dropped frames, rendition changes) back a NACK can still be answered. */
const maxRuns = 8;
/** Below this no pacing is worth its delay: bits per second. */
const minPaceRate = 8_000_000;
/** A large frame leaves within this time, in trains: spread enough for a queue on its way, and not late. One pacing tick. */
const spreadMs = 3;
/** The largest take two: a burst of more would be lost in a home router's queue. */
const hugeFrameBytes = 128_000;
const hugeSpreadMs = 8;
/** A train of packets that leaves at once. */
const trainBytes = 20_000;
/** An opening burst is repeated so often at most, and not before the first had time to arrive. */
const maxReplays = 3;
const minReplayMs = 300;
const headStartMs = 20;
/** Fastest burst for a joining viewer, bits per second. */
const maxBurstRate = 25_000_000;

/**
 * One track on its way to one viewer: contiguous sequence numbers whatever is dropped or switched upstream, video only
 * from a key frame on, paced. It owns no packets: it walks through the track's history.
 */
export class TrackSender {
  readonly format: SenderFormat;
  /** Header extension of every packet, repeated ones too. */
  readonly extension: Uint8Array | undefined;
  readonly #peer: PeerTransport;
  readonly #config: WebRtcConfig;
  readonly #route: { ssrc: number; payloadType: number; packetIndex: number; extension: Uint8Array | undefined };
  readonly #bucket: TokenBucket;
  readonly #onLag: () => void;
  readonly #onFailure: (message: string) => void;
  #fanOut: TrackFanOut | undefined;
  #next: TrackFanOut | undefined;
  /** Next history index to send; undefined while waiting for a key frame at `#waitFrom` or later. */
  #cursor: number | undefined;
  #waitFrom = 0;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  #isBursting = false;
  /** How the viewer began, as long as it may have missed that. */
  #opening: { readonly keyframe: PacketFrame; sentMs: number; replays: number } | undefined;
  #runs: Run[] = [];
  #packets = 0;
  #octets = 0;
  #drops = 0;
  #onArrived: (() => void) | undefined;
  /** Set for a viewer that loses packets: large frames take their time, for a queue on the way may be what drops them. */
  isGentle = false;

  /**
   * @param options.onLag called whenever packets are left over for {@link resume}
   * @param options.onFailure called when sending threw
   */
  constructor(
    format: SenderFormat,
    peer: PeerTransport,
    config: WebRtcConfig,
    options: {
      readonly random: RandomBytes;
      readonly nowMs: number;
      readonly onLag: () => void;
      readonly onFailure: (message: string) => void;
    },
  ) {
    this.format = format;
    this.#peer = peer;
    this.#config = config;
    this.#onLag = options.onLag;
    this.#onFailure = options.onFailure;
    this.#bucket = new TokenBucket(trainBytes, options.nowMs);
    // Random start (RFC 3550 §5.1), below 2¹⁵ so that no receiver sees the first wrap before it knows the sender.
    const packetIndex = randomUint32(options.random) & 0x7fff;
    const { ssrc, payloadType, playoutDelay } = format;
    this.extension = playoutDelay && serializePlayoutDelay(playoutDelay.id, playoutDelay);
    this.#route = { ssrc, payloadType, packetIndex, extension: this.extension };
  }

  get fanOut(): TrackFanOut | undefined {
    return this.#fanOut;
  }

  /** Media packets sent so far, repeats not counted. */
  get packets(): number {
    return this.#packets;
  }

  /** Payload bytes of {@link packets}, as sender reports count them (RFC 3550 §6.4.1). */
  get octets(): number {
    return this.#octets;
  }

  /** How often video was dropped up to the next key frame because the viewer was too slow. */
  get drops(): number {
    return this.#drops;
  }

  /** Sequence number of the packet sent last; undefined before the first. */
  get newestSequence(): number | undefined {
    return this.#packets === 0 ? undefined : (this.#route.packetIndex - 1) & 0xffff;
  }

  get isLagging(): boolean {
    return this.#cursor !== undefined && this.#fanOut !== undefined && this.#cursor < this.#fanOut.history.endIndex;
  }

  /** True while the transport's backlog keeps it from sending: waiting on a timer would not help. */
  get isBlocked(): boolean {
    return this.format.kind === "video" && this.#peer.backlogBytes > this.#config.maxBacklogBytes;
  }

  /** Begins with the cached group of pictures when it is fresh and small enough; sound begins at live. */
  start(fanOut: TrackFanOut, nowMs: number): void {
    this.#leave();
    this.#fanOut = fanOut;
    fanOut.senders.add(this);
    if (this.format.kind === "audio") return this.#jumpTo(fanOut.history.endIndex);
    this.#waitFrom = fanOut.history.endIndex;
    const keyframe = fanOut.history.latestKeyframe;
    if (!keyframe || nowMs - keyframe.arrivedMs > this.#config.burstMaxAgeMs) return;
    if (fanOut.history.bytesSince(keyframe) > this.#config.burstMaxBytes) return;
    this.#opening = { keyframe, sentMs: nowMs, replays: 0 };
    this.#isBursting = true;
    this.#jumpTo(keyframe.firstIndex);
    this.resume(nowMs);
  }

  /**
   * Sends the opening burst again to a viewer that asks for a key frame so early that it must have missed it: what
   * arrives before the viewer has finished its side of DTLS is lost, and cannot be asked for by NACK. Later, old
   * pictures are never sent again, for time would go back.
   * @returns false when the viewer has to wait for the next key frame
   */
  replayOpening(nowMs: number): boolean {
    const opening = this.#opening;
    if (!opening || this.#fanOut?.history.latestKeyframe !== opening.keyframe) return false;
    if (opening.replays >= maxReplays || nowMs - opening.keyframe.arrivedMs > this.#config.burstMaxAgeMs) return false;
    if (nowMs - opening.sentMs < minReplayMs) return true;
    opening.sentMs = nowMs;
    opening.replays++;
    this.#isBursting = true;
    this.#jumpTo(opening.keyframe.firstIndex);
    // Receivers throw away the picture when it overtakes the parameter sets, so those go ahead alone.
    this.#send(opening.keyframe, 0, 1);
    this.#pausedUntilMs = nowMs + headStartMs;
    this.#onLag();
    return true;
  }

  /** Goes on with the current track until `fanOut` has a key frame, then with that one; `onArrived` is told. */
  switchTo(fanOut: TrackFanOut, onArrived: () => void): void {
    this.#next?.arriving.delete(this);
    this.#next = undefined;
    if (fanOut === this.#fanOut) return onArrived();
    if (this.format.kind === "audio") {
      this.#adopt(fanOut, fanOut.history.endIndex);
      return onArrived();
    }
    this.#next = fanOut;
    this.#onArrived = onArrived;
    fanOut.arriving.add(this);
  }

  /** Called by the track it waits for when its key frame is there. */
  arrive(fanOut: TrackFanOut, keyframe: PacketFrame): void {
    if (this.#next !== fanOut) return;
    fanOut.arriving.delete(this);
    this.#next = undefined;
    this.#adopt(fanOut, keyframe.firstIndex);
    this.#onArrived?.();
  }

  /** Video starts again at the next key frame: what follows does not join up with what came before. */
  waitForKeyframe(): void {
    if (this.format.kind !== "video") return;
    this.#cursor = undefined;
    this.#waitFrom = this.#fanOut?.history.endIndex ?? 0;
  }

  /** Queues what pace and backlog allow. The caller flushes. Never throws: a failure ends this viewer alone. */
  resume(nowMs: number): void {
    try {
      this.#resume(nowMs);
    } catch (thrown) {
      this.#onFailure(messageOf(thrown));
    }
  }

  #resume(nowMs: number): void {
    const fanOut = this.#fanOut;
    if (!fanOut) return;
    if (this.isBlocked) {
      if (this.isLagging) this.#drop();
      return;
    }
    if (nowMs < this.#pausedUntilMs) return this.#onLag();
    const { history } = fanOut;
    if (this.#cursor === undefined && !this.#beginAtKeyframe(history)) return;
    while (this.#cursor! < history.endIndex) {
      const frame = history.frameOf(this.#cursor!);
      if (!frame) return this.#skipGap(nowMs);
      const from = this.#cursor! - frame.firstIndex;
      const to = this.format.kind === "audio" ? frame.packets.count : this.#allowedEnd(frame, from, nowMs);
      if (to > from) this.#send(frame, from, to);
      if (to < frame.packets.count) return this.#onLag();
    }
    this.#isBursting = false;
  }

  /** The history frame and packet that the viewer knows by this sequence number, if it is still there. */
  find(sequence: number): { frame: PacketFrame; index: number; packetIndex: number } | undefined {
    const behind = (this.#route.packetIndex - sequence) & 0xffff;
    const packetIndex = this.#route.packetIndex - (behind === 0 ? 0x10000 : behind);
    const run = this.#runs.findLast(({ fromPacket }) => packetIndex >= fromPacket);
    const index = run ? packetIndex + run.shift : -1;
    const frame = run?.fanOut.history.frameOf(index);
    return frame && { frame, index: index - frame.firstIndex, packetIndex };
  }

  /** Lets go of its track. May be called twice. */
  close(): void {
    this.#leave();
    this.#next?.arriving.delete(this);
    this.#next = undefined;
    this.#runs = [];
  }

  #leave(): void {
    this.#opening = undefined;
    this.#fanOut?.senders.delete(this);
    this.#fanOut = undefined;
    this.#cursor = undefined;
  }

  #adopt(fanOut: TrackFanOut, index: number): void {
    this.#leave();
    this.#fanOut = fanOut;
    fanOut.senders.add(this);
    this.#jumpTo(index);
  }

  #jumpTo(index: number): void {
    const fanOut = this.#fanOut!;
    const shift = index - this.#route.packetIndex;
    const last = this.#runs.at(-1);
    this.#cursor = index;
    if (last?.fanOut === fanOut && last.shift === shift) return;
    this.#runs.push({ fanOut, fromPacket: this.#route.packetIndex, shift });
    if (this.#runs.length > maxRuns) this.#runs.shift();
  }

  #allowedEnd(frame: PacketFrame, from: number, nowMs: number): number {
    const { offsets, count } = frame.packets;
    const rate = this.#rate(frame);
    // What a pacing tick (3 ms, and its delay) earns must fit.
    const depth = Math.max(trainBytes, rate / 1_600);
    const until = offsets[from]! + this.#bucket.available(rate, depth, nowMs);
    let to = from;
    while (to < count && offsets[to]! < until) to++;
    return to;
  }

  #rate({ packets }: PacketFrame): number {
    const { bitrate } = this.#fanOut!;
    if (!this.#isBursting) {
      const gentle = Math.max(minPaceRate, 2.5 * bitrate);
      if (this.isGentle) return gentle;
      return Math.max(
        gentle,
        (packets.byteLength * 8_000) / (packets.byteLength > hugeFrameBytes ? hugeSpreadMs : spreadMs),
      );
    }
    return Math.max(1.5 * bitrate, Math.min(maxBurstRate, Math.max(12_000_000, 4 * bitrate)));
  }

  #send(frame: PacketFrame, from: number, to: number): void {
    const { packets } = frame;
    const bytes = packets.offsets[to]! - packets.offsets[from]!;
    this.#peer.queueRtp(packets, from, to, this.#route);
    this.#route.packetIndex += to - from;
    this.#cursor = frame.firstIndex + to;
    this.#packets += to - from;
    this.#octets += bytes - (to - from) * 12;
    if (this.format.kind === "video") this.#bucket.spend(bytes);
  }

  #beginAtKeyframe({ latestKeyframe }: PacketHistory): boolean {
    if (!latestKeyframe || latestKeyframe.firstIndex < this.#waitFrom) return false;
    this.#jumpTo(latestKeyframe.firstIndex);
    return true;
  }

  /** The packet it stood at fell out of the history: go on at the newest key frame after it, or the next. */
  #skipGap(nowMs: number): void {
    const stoodAt = this.#cursor!;
    this.#drop();
    if (this.format.kind === "audio") return this.#jumpTo(this.#fanOut!.history.endIndex);
    this.#waitFrom = stoodAt + 1;
    this.#resume(nowMs);
  }

  #drop(): void {
    this.#cursor = undefined;
    this.#opening = undefined;
    this.#waitFrom = this.#fanOut!.history.endIndex;
    this.#isBursting = false;
    this.#drops++;
  }
}
