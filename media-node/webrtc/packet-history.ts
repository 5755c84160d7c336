import { PacketSlab } from "../rtp/packet-slab.ts";

/** The packets of one sample, with their place in the track. */
export interface PacketFrame {
  readonly packets: PacketSlab;
  /** Index of the first packet, counting every packet of the track from 0. */
  readonly firstIndex: number;
  readonly isKeyframe: boolean;
  /** Presentation time on the stream's media clock. */
  readonly mediaMs: number;
  /** When it came in, on the clock that never jumps. */
  readonly arrivedMs: number;
}

/**
 * The last seconds of one track as RTP packets, shared by all its viewers: what a joining viewer starts with, what a
 * paced viewer still has to get, and what is sent again on request. Buffers of frames that fell out are used again, so
 * nobody may keep a frame beyond the current turn: keep its index.
 */
export class PacketHistory {
  readonly #keepMs: number;
  readonly #maxBytes: number;
  #frames: PacketFrame[] = [];
  /** Frames before this position were dropped already. */
  #head = 0;
  #bytes = 0;
  #endIndex = 0;
  #keyframe: PacketFrame | undefined;
  readonly #spare: PacketSlab[] = [];

  constructor(keepMs: number, maxBytes: number) {
    this.#keepMs = keepMs;
    this.#maxBytes = maxBytes;
  }

  /** Index that the next packet will have. */
  get endIndex(): number {
    return this.#endIndex;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get latest(): PacketFrame | undefined {
    return this.#head < this.#frames.length ? this.#frames.at(-1) : undefined;
  }

  /** Bits per second over what is kept; 0 while that spans less than half a second. */
  get bitrate(): number {
    const first = this.#frames[this.#head];
    const spanMs = first ? this.latest!.mediaMs - first.mediaMs : 0;
    return spanMs < 500 ? 0 : ((this.#bytes - this.latest!.packets.byteLength) * 8_000) / spanMs;
  }

  /**
   * An empty slab for the next frame, to be handed to {@link push}.
   * @param sampleBytes of the frame, so that a small one does not sit in a buffer that once held a key frame
   */
  takeSlab(sampleBytes: number): PacketSlab {
    // Headers cost 2 %, parameter sets a few hundred bytes; a power of two makes buffers that fit again.
    const needed = 2 ** Math.ceil(Math.log2(sampleBytes * 1.03 + 256));
    const fitting = this.#spare.findIndex(({ slab }) => slab.length === needed);
    return fitting < 0 ? new PacketSlab(needed) : this.#spare.splice(fitting, 1)[0]!;
  }

  /** Takes over `packets`. A frame without packets is not kept. */
  push(packets: PacketSlab, isKeyframe: boolean, mediaMs: number, arrivedMs: number): PacketFrame | undefined {
    if (packets.count === 0) {
      this.#recycle(packets);
      return undefined;
    }
    const frame = { packets, firstIndex: this.#endIndex, isKeyframe, mediaMs, arrivedMs };
    this.#frames.push(frame);
    if (isKeyframe) this.#keyframe = frame;
    this.#endIndex += packets.count;
    this.#bytes += packets.byteLength;
    this.#dropOld(arrivedMs);
    return frame;
  }

  /** The frame that holds packet `index`; undefined when it fell out or does not exist yet. */
  frameOf(index: number): PacketFrame | undefined {
    if (index >= this.#endIndex) return undefined;
    let low = this.#head;
    let high = this.#frames.length - 1;
    // Nearly always the newest frame is asked for.
    if (high >= low && this.#frames[high]!.firstIndex <= index) return this.#frames[high];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const frame = this.#frames[middle]!;
      if (index < frame.firstIndex) high = middle - 1;
      else if (index >= frame.firstIndex + frame.packets.count) low = middle + 1;
      else return frame;
    }
    return undefined;
  }

  /** The newest key frame, if it is still here. */
  get latestKeyframe(): PacketFrame | undefined {
    return this.#keyframe;
  }

  /** Bytes from frame `from` to the end. */
  bytesSince(from: PacketFrame): number {
    let bytes = 0;
    for (let i = this.#frames.length - 1; i >= this.#head; i--) {
      bytes += this.#frames[i]!.packets.byteLength;
      if (this.#frames[i] === from) break;
    }
    return bytes;
  }

  #dropOld(nowMs: number): void {
    const last = this.#frames.length - 1;
    while (this.#head < last) {
      const oldest = this.#frames[this.#head]!;
      if (this.#bytes <= this.#maxBytes && nowMs - oldest.arrivedMs <= this.#keepMs) break;
      this.#bytes -= oldest.packets.byteLength;
      if (oldest === this.#keyframe) this.#keyframe = undefined;
      this.#recycle(oldest.packets);
      this.#head++;
    }
    if (this.#head > 256) {
      this.#frames = this.#frames.slice(this.#head);
      this.#head = 0;
    }
  }

  #recycle(packets: PacketSlab): void {
    packets.begin(0);
    if (this.#spare.length < 16) this.#spare.push(packets);
  }
}
