import type { RtpPacket } from "./rtp-packet.ts";

export interface RtpSequencerOptions {
  /** Packets held back while one before them is missing; 0 where the transport keeps order (TCP). */
  readonly maxHeld: number;
  /** How long a missing packet is waited for. */
  readonly maxHoldMs: number;
  /** Takes packets in order of their sequence numbers. */
  readonly deliver: (packet: RtpPacket, isAfterLoss: boolean) => void;
}

/** A jump further than this is a sender that restarted its numbering, not loss (RFC 3550 A.1, MAX_DROPOUT). */
const maxDropout = 3_000;
/** A late packet further back than this is the same (RFC 3550 A.1, MAX_MISORDER is 100; routers hold more than that). */
const maxMisorder = 500;

/** Puts the packets of one RTP stream in order, drops repeats, and tells where some are missing. */
export class RtpSequencer {
  readonly #options: RtpSequencerOptions;
  readonly #held = new Map<number, { packet: RtpPacket; arrivedMs: number }>();
  #expected: number | undefined;
  #lost = 0;
  #repeated = 0;
  #reordered = 0;
  /** Sequence number that would continue a numbering begun anew. */
  #restartAt: number | undefined;

  constructor(options: RtpSequencerOptions) {
    this.#options = options;
  }

  /** Packets that never came, that came twice or too late, and that came out of order but in time. */
  get counters(): { readonly lost: number; readonly repeated: number; readonly reordered: number } {
    return { lost: this.#lost, repeated: this.#repeated, reordered: this.#reordered };
  }

  /** When {@link timeout} should be called, or undefined when nothing is held. */
  get nextTimeoutMs(): number | undefined {
    const first = this.#held.values().next().value;
    return first && first.arrivedMs + this.#options.maxHoldMs;
  }

  push(packet: RtpPacket, nowMs: number): void {
    const { sequence } = packet;
    if (this.#expected === undefined) return this.#deliver(packet, false);
    const ahead = (sequence - this.#expected) & 0xffff;
    if (ahead === 0) {
      this.#deliver(packet, false);
      if (this.#held.size > 0) this.#release();
    } else if (ahead < maxDropout) this.#hold(packet, nowMs);
    else if (ahead >= 0x10000 - maxMisorder) this.#repeated++;
    else this.#restart(packet);
  }

  /** Gives up on packets waited for too long. */
  timeout(nowMs: number): void {
    for (let due = this.nextTimeoutMs; due !== undefined && due <= nowMs; due = this.nextTimeoutMs) this.#skip();
  }

  /** Delivers what is held, in order, and forgets where the numbering stands. */
  flush(): void {
    while (this.#held.size > 0) this.#skip();
    this.#expected = undefined;
  }

  #hold(packet: RtpPacket, nowMs: number): void {
    if (this.#options.maxHeld === 0) {
      this.#lost += (packet.sequence - this.#expected!) & 0xffff;
      return this.#deliver(packet, true);
    }
    if (this.#held.has(packet.sequence)) this.#repeated++;
    else {
      this.#held.set(packet.sequence, { packet, arrivedMs: nowMs });
      if (this.#held.size > this.#options.maxHeld) this.#skip();
    }
  }

  /** Two packets in a row of a new numbering prove that it is one. */
  #restart(packet: RtpPacket): void {
    if (packet.sequence !== this.#restartAt) {
      this.#restartAt = (packet.sequence + 1) & 0xffff;
      return;
    }
    this.flush();
    this.#lost++;
    this.#deliver(packet, true);
  }

  #release(): void {
    for (let held = this.#held.get(this.#expected!); held; held = this.#held.get(this.#expected!)) {
      this.#held.delete(this.#expected!);
      this.#reordered++;
      this.#deliver(held.packet, false);
    }
  }

  /** Goes on with the nearest packet held. */
  #skip(): void {
    let nearest = 0x10000;
    for (const sequence of this.#held.keys()) nearest = Math.min(nearest, (sequence - this.#expected!) & 0xffff);
    const sequence = (this.#expected! + nearest) & 0xffff;
    const { packet } = this.#held.get(sequence)!;
    this.#held.delete(sequence);
    this.#lost += nearest;
    this.#deliver(packet, true);
    this.#release();
  }

  #deliver(packet: RtpPacket, isAfterLoss: boolean): void {
    this.#expected = (packet.sequence + 1) & 0xffff;
    this.#restartAt = undefined;
    this.#options.deliver(packet, isAfterLoss);
  }
}
