import { PacketSlab, rtpHeaderBytes } from "../rtp/packet-slab.ts";
import type { PeerTransport, RtpRoute } from "./media-port.ts";
import { randomUint32, type RandomBytes } from "./random.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { TrackSender } from "./track-sender.ts";

/** Repeats may take this share of the track's bitrate … */
const budgetShare = 0.25;
/** … but never less than this, bits per second, so that a small stream recovers too. */
const minBudget = 500_000;
const budgetDepthBytes = 96_000;
/**
 * The same packet is not repeated sooner than this, or most of a round trip: viewers estimate it themselves, and a
 * request refused because it came a little early costs them another one.
 */
const minRepeatMs = 20;
/** Packets of one request; more were not lost but never asked for in time. */
const maxAnswers = 1_024;
/** Padding of one call. */
const maxPadBytes = 200_000;
const maxPadPackets = 256;
/** Remembered repeats; a power of two. */
const slots = 512;

/** An {@link RtpRoute} that is used again and again. */
interface Route extends RtpRoute {
  packetIndex: number;
}

/** Repeated packets are rare and copied once, so one scratch slab serves all viewers in turn. */
const scratch = new PacketSlab(2_048);

/** Answers a viewer's NACKs for one track: by RTX (RFC 4588) where negotiated, else the packet itself once more. */
export class Retransmitter {
  readonly #sender: TrackSender;
  readonly #peer: PeerTransport;
  readonly #rtx: Route | undefined;
  readonly #plain: Route;
  readonly #bucket: TokenBucket;
  /** Per slot: the sequence number repeated last and when. Made with the first NACK, most viewers need none. */
  #repeated: { sequences: Int32Array; timesMs: Float64Array } | undefined;
  #sent = 0;
  #refused = 0;

  constructor(sender: TrackSender, peer: PeerTransport, random: RandomBytes, nowMs: number) {
    const { ssrc, payloadType, rtxSsrc, rtxPayloadType } = sender.format;
    this.#sender = sender;
    this.#peer = peer;
    const { extension } = sender;
    this.#plain = { ssrc, payloadType, packetIndex: 0, extension };
    this.#bucket = new TokenBucket(budgetDepthBytes, nowMs);
    if (rtxSsrc === undefined || rtxPayloadType === undefined) return;
    const packetIndex = randomUint32(random) & 0x7fff;
    this.#rtx = { ssrc: rtxSsrc, payloadType: rtxPayloadType, packetIndex, extension };
  }

  /** Packets repeated. */
  get sent(): number {
    return this.#sent;
  }

  /** Packets asked for that were gone, just repeated, or over the budget. */
  get refused(): number {
    return this.#refused;
  }

  /** Queues every packet asked for; the caller flushes. */
  answer(sequences: readonly number[], roundTripMs: number, nowMs: number): void {
    const budget = Math.max(minBudget, (this.#sender.fanOut?.bitrate ?? 0) * budgetShare);
    for (let i = 0; i < sequences.length; i++) {
      const sequence = sequences[i]!;
      if (this.#bucket.available(budget, budgetDepthBytes, nowMs) <= 0 || i === maxAnswers) {
        this.#refused += sequences.length - i;
        return;
      }
      const found = this.#sender.find(sequence);
      if (!found || this.#wasJustRepeated(sequence, roundTripMs, nowMs)) {
        this.#refused++;
        continue;
      }
      const { packets } = found.frame;
      this.#bucket.spend(packets.offsets[found.index + 1]! - packets.offsets[found.index]!);
      this.#sent++;
      if (this.#rtx) this.#sendRtx(packets, found.index, found.packetIndex, this.#rtx);
      else {
        this.#plain.packetIndex = found.packetIndex;
        this.#peer.queueRtp(packets, found.index, found.index + 1, this.#plain);
      }
    }
  }

  /** Repeats the newest packets by RTX, `bytes` in all, unasked: padding for a bandwidth probe. Nothing without RTX. */
  pad(bytes: number): void {
    const newest = this.#sender.newestSequence;
    if (!this.#rtx || newest === undefined) return;
    let left = Math.min(bytes, maxPadBytes);
    for (let back = 0; left > 0 && back < maxPadPackets; back++) {
      const found = this.#sender.find((newest - back) & 0xffff);
      if (!found) return;
      const { packets } = found.frame;
      left -= packets.offsets[found.index + 1]! - packets.offsets[found.index]!;
      this.#sendRtx(packets, found.index, found.packetIndex, this.#rtx);
    }
  }

  /**
   *     | RTP header, own SSRC, sequence and payload type | original sequence (16) | original payload |
   */
  #sendRtx(packets: PacketSlab, index: number, packetIndex: number, route: Route): void {
    const start = packets.offsets[index]!;
    const end = packets.offsets[index + 1]!;
    scratch.begin(packets.timestamp);
    const at = scratch.add(2 + end - start - rtpHeaderBytes);
    scratch.slab[at] = packetIndex >> 8;
    scratch.slab[at + 1] = packetIndex;
    scratch.slab.set(packets.slab.subarray(start + rtpHeaderBytes, end), at + 2);
    if (packets.slab[start + 1]! & 0x80) scratch.markLast();
    this.#peer.queueRtp(scratch, 0, 1, route);
    route.packetIndex++;
  }

  #wasJustRepeated(sequence: number, roundTripMs: number, nowMs: number): boolean {
    this.#repeated ??= { sequences: new Int32Array(slots).fill(-1), timesMs: new Float64Array(slots) };
    const { sequences, timesMs } = this.#repeated;
    const slot = sequence & (slots - 1);
    if (sequences[slot] === sequence && nowMs - timesMs[slot]! < Math.max(minRepeatMs, roundTripMs * 0.75)) return true;
    sequences[slot] = sequence;
    timesMs[slot] = nowMs;
    return false;
  }
}
