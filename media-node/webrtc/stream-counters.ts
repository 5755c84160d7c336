import type { Retransmitter } from "./retransmitter.ts";
import type { TrackSender } from "./track-sender.ts";

/** What {@link StreamCounters} reads of a viewer that is still there. */
interface CountedViewer {
  readonly senders: readonly { readonly sender: TrackSender; readonly retransmitter: Retransmitter }[];
}

/** Sums of one stream's viewers, past and present. All count up, but `viewers`, `lossShare` and `roundTripMs`. */
export interface StreamStats {
  readonly viewers: number;
  readonly packets: number;
  readonly bytes: number;
  readonly retransmitted: number;
  readonly notRetransmitted: number;
  /** Times a slow viewer was taken to the next key frame. */
  readonly drops: number;
  readonly nacks: number;
  readonly keyframeRequests: number;
  /** Times a picture stood: a viewer past its start could not go on without a key frame. Until the next one that is one time. */
  readonly freezes: number;
  readonly malformedRtcp: number;
  /** Smoothed share of packets that viewers report lost, 0…1. */
  readonly lossShare: number;
  /** Smoothed. */
  readonly roundTripMs: number;
}

/** How much one report moves the smoothed figures. */
const smoothing = 0.05;

/** Counts for one stream; never grows with the number of viewers that were. */
export class StreamCounters {
  nacks = 0;
  keyframeRequests = 0;
  freezes = 0;
  malformedRtcp = 0;
  readonly #viewers = new Set<CountedViewer>();
  #packets = 0;
  #bytes = 0;
  #retransmitted = 0;
  #notRetransmitted = 0;
  #drops = 0;
  #lossShare = 0;
  #roundTripMs = 0;

  add(viewer: CountedViewer): void {
    this.#viewers.add(viewer);
  }

  remove(viewer: CountedViewer): void {
    this.#viewers.delete(viewer);
  }

  /** Keeps the sums of senders that end. */
  take(sender: TrackSender, retransmitter: Retransmitter): void {
    this.#packets += sender.packets;
    this.#bytes += sender.octets;
    this.#drops += sender.drops;
    this.#retransmitted += retransmitter.sent;
    this.#notRetransmitted += retransmitter.refused;
  }

  /** @param fractionLost of 256, as reception reports have it */
  reported(fractionLost: number, roundTripMs: number): void {
    this.#lossShare += (fractionLost / 256 - this.#lossShare) * smoothing;
    if (roundTripMs > 0) this.#roundTripMs += (roundTripMs - this.#roundTripMs) * smoothing;
  }

  get stats(): StreamStats {
    const sum = {
      viewers: this.#viewers.size,
      packets: this.#packets,
      bytes: this.#bytes,
      retransmitted: this.#retransmitted,
      notRetransmitted: this.#notRetransmitted,
      drops: this.#drops,
      nacks: this.nacks,
      keyframeRequests: this.keyframeRequests,
      freezes: this.freezes,
      malformedRtcp: this.malformedRtcp,
      lossShare: this.#lossShare,
      roundTripMs: this.#roundTripMs,
    };
    for (const { senders } of this.#viewers) {
      for (const { sender, retransmitter } of senders) {
        sum.packets += sender.packets;
        sum.bytes += sender.octets;
        sum.drops += sender.drops;
        sum.retransmitted += retransmitter.sent;
        sum.notRetransmitted += retransmitter.refused;
      }
    }
    return sum;
  }
}

/** Of one stream whose viewers are in two places. */
export function mergedStats(a: StreamStats, b: StreamStats): StreamStats {
  const weighted = (of: (stats: StreamStats) => number): number =>
    a.viewers + b.viewers === 0 ? 0 : (of(a) * a.viewers + of(b) * b.viewers) / (a.viewers + b.viewers);
  return {
    viewers: a.viewers + b.viewers,
    packets: a.packets + b.packets,
    bytes: a.bytes + b.bytes,
    retransmitted: a.retransmitted + b.retransmitted,
    notRetransmitted: a.notRetransmitted + b.notRetransmitted,
    drops: a.drops + b.drops,
    nacks: a.nacks + b.nacks,
    keyframeRequests: a.keyframeRequests + b.keyframeRequests,
    freezes: a.freezes + b.freezes,
    malformedRtcp: a.malformedRtcp + b.malformedRtcp,
    lossShare: weighted(({ lossShare }) => lossShare),
    roundTripMs: weighted(({ roundTripMs }) => roundTripMs),
  };
}
