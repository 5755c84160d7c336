const packetSize = 188;
const payloadSize = 184;
/** Values of the continuity counter. */
export const counterValues = 16;

export interface PesMarks {
  /** Program clock, 90 kHz modulo 2³³. */
  readonly pcr?: number;
  readonly isRandomAccess: boolean;
  /** Nothing follows on this PID: its counter is led to 15. */
  readonly isLast: boolean;
}

/** A growing run of transport packets (ISO 13818-1 §2.4.3.2), all counters beginning at 0. */
export class TransportPackets {
  #bytes: Uint8Array;
  #length = 0;
  readonly #counters = new Map<number, number>();

  /** @param capacity bytes expected */
  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
  }

  /** A section in one packet: it must fit. */
  table(pid: number, section: Uint8Array): void {
    const at = this.#begin(pid, true, false);
    this.#bytes[at] = 0;
    this.#bytes.set(section, at + 1);
    this.#bytes.fill(0xff, at + 1 + section.length, at + payloadSize);
  }

  /** A PES packet: at least 16 bytes, which every one with times has. */
  pes(pid: number, pes: Uint8Array, marks: PesMarks): void {
    const head = marks.pcr !== undefined ? 8 : marks.isRandomAccess ? 2 : 0;
    let count = 1 + Math.ceil(Math.max(0, pes.length - (payloadSize - head)) / payloadSize);
    // What is left is spread over more packets, so that the next segment, which begins at 0, continues the counter.
    if (marks.isLast) {
      const used = (this.#counters.get(pid) ?? 0) + count;
      count += (counterValues - (used % counterValues)) % counterValues;
    }
    let from = 0;
    for (let index = 0; index < count; index++) {
      const marked = index === 0 ? head : 0;
      const size = Math.min(payloadSize - marked, pes.length - from - (count - 1 - index));
      const fieldSize = payloadSize - size;
      const at = this.#begin(pid, index === 0, fieldSize > 0);
      if (fieldSize > 0) this.#adaptationField(at, fieldSize, marked > 0 ? marks : undefined);
      this.#bytes.set(pes.subarray(from, from + size), at + fieldSize);
      from += size;
    }
  }

  /** What was written, as a copy of its own size. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** @returns where the 184 bytes after the header begin */
  #begin(pid: number, isStart: boolean, hasField: boolean): number {
    this.#grow();
    const counter = this.#counters.get(pid) ?? 0;
    this.#counters.set(pid, counter + 1);
    const bytes = this.#bytes;
    const at = this.#length;
    bytes[at] = 0x47;
    bytes[at + 1] = (isStart ? 0x40 : 0) | (pid >> 8);
    bytes[at + 2] = pid & 0xff;
    bytes[at + 3] = (hasField ? 0x30 : 0x10) | (counter % counterValues);
    this.#length += packetSize;
    return at + 4;
  }

  /** @param size with the byte that holds its length; what the marks leave is stuffing */
  #adaptationField(at: number, size: number, marks: PesMarks | undefined): void {
    const bytes = this.#bytes;
    bytes[at] = size - 1;
    if (size === 1) return;
    bytes[at + 1] = (marks?.isRandomAccess ? 0x40 : 0) | (marks?.pcr === undefined ? 0 : 0x10);
    bytes.fill(0xff, at + 2, at + size);
    if (marks?.pcr === undefined) return;
    // 33 bits of 90 kHz, 6 reserved ones, 9 bits of 27 MHz that stay 0.
    const high = Math.floor(marks.pcr / 2);
    bytes[at + 2] = high >>> 24;
    bytes[at + 3] = high >>> 16;
    bytes[at + 4] = high >>> 8;
    bytes[at + 5] = high;
    bytes[at + 6] = ((marks.pcr % 2) << 7) | 0x7e;
    bytes[at + 7] = 0;
  }

  #grow(): void {
    if (this.#length + packetSize <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(64 * packetSize, this.#bytes.length * 2));
    larger.set(this.#bytes);
    this.#bytes = larger;
  }
}
