import type { PeerTransport, RtpBatch, RtpRoute } from "../../media-node/webrtc/media-port.ts";

interface SentMedia {
  readonly sequence: number;
  readonly sentMs: number;
}

/** What became of the packets of one RTP stream on their way through a path with faults. */
export interface Deliveries {
  readonly sent: number;
  /** The path dropped them the first time. */
  readonly dropped: number;
  /** They never came, neither as they were nor repeated. */
  readonly missing: number;
  /** Repetitions that were sent. */
  readonly repeats: number;
  /** Longest time from the first sending of a packet until it had passed the path, as it was or repeated. */
  readonly longestMs: number;
}

/**
 * Keeps book of every RTP packet that a node hands to its transport and of every one that a path lets through: their
 * headers are in the clear (RFC 3711), so what is missing at a viewer is known and not guessed from its reports.
 */
export class PacketLedger {
  /** By SSRC, media and repetitions alike. */
  readonly #sent = new Map<number, SentMedia[]>();
  /** SSRC × 65,536 + sequence number of what repeats another → that one's sequence number (RFC 4588). */
  readonly #originals = new Map<number, number>();
  /** When each passed first. */
  readonly #passed = new Map<number, number>();

  /** `peer`, whose packets are written down. */
  watch(peer: PeerTransport): PeerTransport {
    const queueRtp = peer.queueRtp.bind(peer);
    peer.queueRtp = (batch, from, to, route) => {
      for (let i = from; i < Math.min(to, batch.count); i++) this.#note(batch, i, from, route);
      queueRtp(batch, from, to, route);
    };
    return peer;
  }

  /** A datagram that reached the viewer. */
  passed(datagram: Uint8Array): void {
    // RFC 7983 §7 and RFC 5761 §4: neither STUN, DTLS nor RTCP.
    if (datagram.length < 12 || datagram[0]! < 128 || (datagram[1]! >= 192 && datagram[1]! <= 223)) return;
    const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
    const key = keyOf(view.getUint32(8), view.getUint16(2));
    if (!this.#passed.has(key)) this.#passed.set(key, performance.now());
  }

  /**
   * @param media,rtx SSRCs of a stream and of its repetitions; packets sent after `untilMs` may still be on their way
   *
   * Those of the first two seconds are left out: what is lost before a viewer has its keys it does not know of, and the opening
   * burst is sent anew as a whole when it asks for a key frame.
   */
  deliveries(media: number, rtx: number, untilMs: number): Deliveries {
    const repeated = new Map<number, number>();
    for (const [key, sequence] of this.#originals) {
      const passedMs = Math.floor(key / 65_536) === rtx ? this.#passed.get(key) : undefined;
      if (passedMs !== undefined) repeated.set(sequence, Math.min(passedMs, repeated.get(sequence) ?? Infinity));
    }
    const all = this.#sent.get(media) ?? [];
    const fromMs = (all[0]?.sentMs ?? 0) + openingMs;
    const sent = all.filter(({ sentMs }) => sentMs >= fromMs && sentMs <= untilMs);
    const dropped = sent.filter(({ sequence }) => !this.#passed.has(keyOf(media, sequence)));
    const missing = dropped.filter(({ sequence }) => !repeated.has(sequence));
    const tookMs = ({ sequence, sentMs }: SentMedia): number =>
      (this.#passed.get(keyOf(media, sequence)) ?? repeated.get(sequence) ?? sentMs) - sentMs;
    return {
      sent: sent.length,
      dropped: dropped.length,
      missing: missing.length,
      repeats: this.#sent.get(rtx)?.length ?? 0,
      longestMs: sent.reduce((longest, packet) => Math.max(longest, tookMs(packet)), 0),
    };
  }

  #note({ slab, offsets }: RtpBatch, index: number, from: number, { ssrc, packetIndex }: RtpRoute): void {
    const sequence = (packetIndex + index - from) % 65_536;
    const payload = offsets[index]! + 12;
    this.#originals.set(keyOf(ssrc, sequence), (slab[payload]! << 8) | slab[payload + 1]!);
    const sent = this.#sent.get(ssrc) ?? [];
    sent.push({ sequence, sentMs: performance.now() });
    this.#sent.set(ssrc, sent);
  }
}

const openingMs = 2_000;

const keyOf = (ssrc: number, sequence: number): number => ssrc * 65_536 + sequence;
