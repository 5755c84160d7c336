import { joinPieces, maxFrameBytes, maxFramePieces, type Depacketizer, type EmitFrame } from "./depacketizer.ts";
import type { RtpPacket } from "./rtp-packet.ts";

/** Most bytes and pieces of one frame; beyond them it is thrown away. */
export interface FrameLimits {
  readonly bytes: number;
  readonly pieces: number;
}

/**
 * Frames of one timestamp each that end at the RTP marker, or where the next timestamp begins. A frame that misses anything
 * is thrown away whole. What a payload looks like inside is the format's own: the class that extends this one.
 */
export abstract class MarkedFrames implements Depacketizer {
  readonly #emit: EmitFrame;
  readonly #limits: FrameLimits;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  /** RTP timestamps are not negative: -1 is before the first one. */
  #timestamp = -1;
  /** The frame at `#timestamp` is incomplete: nothing of it is kept. */
  #isBroken = false;
  #isAfterLoss = false;
  #discarded = 0;

  constructor(emit: EmitFrame, limits: FrameLimits = { bytes: maxFrameBytes, pieces: maxFramePieces }) {
    this.#emit = emit;
    this.#limits = limits;
  }

  get discarded(): number {
    return this.#discarded;
  }

  push({ payload, timestamp, marker }: RtpPacket, isAfterLoss: boolean): void {
    if (isAfterLoss) {
      this.#isAfterLoss = true;
      if (this.isBegun) this.discard();
    }
    if (timestamp !== this.#timestamp) {
      if (this.isBegun) this.#finish();
      this.#clear();
      this.#timestamp = timestamp;
    }
    if (!this.#isBroken) this.take(payload);
    if (marker) this.#finish();
  }

  /** Takes a payload of the open frame: {@link hold}s what belongs to it, or {@link discard}s the frame. */
  protected abstract take(payload: Uint8Array): void;

  /** Emits what is in a whole frame by {@link emitFrame}; called before {@link forget}. */
  protected abstract finish(data: Uint8Array): void;

  /** Lets go of what is known of the open frame. */
  protected forget(): void {}

  /** Whether the open frame holds anything that a loss would tear. */
  protected get isBegun(): boolean {
    return this.#pieces.length > 0;
  }

  /** Whether nothing is missing where the frame ends. */
  protected get isWhole(): boolean {
    return true;
  }

  /** The open frame was discarded: payloads are not looked at until the next one. */
  protected get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Whether the open frame would be too large with this much more. */
  protected isTooLarge(moreBytes: number, morePieces: number): boolean {
    return this.#bytes + moreBytes > this.#limits.bytes || this.#pieces.length + morePieces > this.#limits.pieces;
  }

  /** Adds to the open frame; discards it when it grows too large. */
  protected hold(piece: Uint8Array): void {
    if (this.#isBroken) return;
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.isTooLarge(0, 0)) this.discard();
  }

  /** Throws the open frame away: it is malformed, or misses a piece. */
  protected discard(): void {
    this.#discarded++;
    this.#clear();
    this.#isBroken = true;
    this.#isAfterLoss = true;
  }

  /** @param ticks behind the frame's timestamp, for the later ones of several audio frames */
  protected emitFrame(data: Uint8Array, isKeyframe: boolean, ticks = 0, audioConfig?: Uint8Array): void {
    const isAfterLoss = this.#isAfterLoss;
    this.#isAfterLoss = false;
    const timestamp = (this.#timestamp + ticks) >>> 0;
    this.#emit({ timestamp, data, isKeyframe, isAfterLoss, ...(audioConfig && { audioConfig }) });
  }

  #finish(): void {
    if (this.isBegun && !this.isWhole) this.discard();
    if (this.#bytes > 0) this.finish(joinPieces(this.#pieces, this.#bytes));
    this.#clear();
  }

  #clear(): void {
    this.#pieces = [];
    this.#bytes = 0;
    this.#isBroken = false;
    this.forget();
  }
}
