/** Bytes of an RTP header without CSRCs and extension (RFC 3550 §5.1); every packet in a slab has exactly this one. */
export const rtpHeaderBytes = 12;

/**
 * The RTP packets of one frame back to back in one buffer, as packetizers write them and senders read them.
 * Reused frame after frame: it grows to the largest and then allocates no more. Sequence number, SSRC and payload type
 * are left 0, since they differ for every viewer.
 */
export class PacketSlab {
  #slab: Uint8Array;
  #offsets = new Uint32Array(33);
  #count = 0;
  #timestamp = 0;

  constructor(capacity = 16_384) {
    this.#slab = new Uint8Array(capacity);
  }

  /** Packet i lies in `offsets[i] … offsets[i + 1]`; bytes past the last offset are left over from earlier frames. */
  get slab(): Uint8Array {
    return this.#slab;
  }

  get offsets(): Uint32Array {
    return this.#offsets;
  }

  get count(): number {
    return this.#count;
  }

  /** RTP timestamp of every packet in here, 0…2³²−1. */
  get timestamp(): number {
    return this.#timestamp;
  }

  /** Bytes of all packets with their headers. */
  get byteLength(): number {
    return this.#offsets[this.#count]!;
  }

  /** Forgets the packets and starts a frame with this RTP timestamp. */
  begin(timestamp: number): void {
    this.#count = 0;
    this.#timestamp = timestamp >>> 0;
  }

  /**
   * Adds a packet with its header written and room for `payloadBytes`, which the caller fills.
   * @returns where the payload starts in {@link slab}; read `slab` after this call, growing replaces it
   */
  add(payloadBytes: number): number {
    const start = this.#offsets[this.#count]!;
    const payload = start + rtpHeaderBytes;
    const end = payload + payloadBytes;
    if (end > this.#slab.length) this.#growSlab(end);
    if (this.#count + 2 > this.#offsets.length) this.#growOffsets();
    this.#offsets[++this.#count] = end;
    const slab = this.#slab;
    const timestamp = this.#timestamp;
    slab[start] = 0x80;
    slab.fill(0, start + 1, start + 4);
    slab[start + 4] = timestamp >>> 24;
    slab[start + 5] = timestamp >>> 16;
    slab[start + 6] = timestamp >>> 8;
    slab[start + 7] = timestamp;
    slab.fill(0, start + 8, payload);
    return payload;
  }

  /** Adds a packet whose payload is `bytes[start…end)`. */
  addCopy(bytes: Uint8Array, start = 0, end = bytes.length): void {
    const at = this.add(end - start);
    copyBytes(bytes, start, end, this.#slab, at);
  }

  /** Sets the marker bit of the last packet, if there is one. */
  markLast(): void {
    if (this.#count > 0) this.#slab[this.#offsets[this.#count - 1]! + 1]! |= 0x80;
  }

  /** Payload of packet `index`, as a view. */
  payload(index: number): Uint8Array {
    return this.#slab.subarray(this.#offsets[index]! + rtpHeaderBytes, this.#offsets[index + 1]);
  }

  #growSlab(needed: number): void {
    const larger = new Uint8Array(Math.max(needed, this.#slab.length * 2));
    larger.set(this.#slab.subarray(0, this.byteLength));
    this.#slab = larger;
  }

  #growOffsets(): void {
    const larger = new Uint32Array(this.#offsets.length * 2);
    larger.set(this.#offsets);
    this.#offsets = larger;
  }
}

/** Copies `from[start…end)` to `to[at…]`. A view costs more than it saves on a handful of bytes. */
export function copyBytes(from: Uint8Array, start: number, end: number, to: Uint8Array, at: number): void {
  if (end - start > 32) to.set(from.subarray(start, end), at);
  else for (let i = start; i < end; i++) to[at++] = from[i]!;
}
