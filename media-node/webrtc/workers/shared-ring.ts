// Header, 64 bytes: how many bytes were ever written (modulo 2³²), and how many read. Then the data.
//
//     | length (32) | payload … | padding to 8 |      a record; a length of 2³² − 1 sends the reader to the beginning
const writtenAt = 0;
const readAt = 8;
const headerBytes = 64;
const toBeginning = 0xffff_ffff;

const paddedBytes = (bytes: number): number => Math.ceil((4 + bytes) / 8) * 8;

/** Memory for a ring of at least `capacity` bytes; hand it to one writer and one reader, which may be other threads. */
export function newSharedRing(capacity: number): SharedArrayBuffer {
  return new SharedArrayBuffer(headerBytes + 2 ** Math.ceil(Math.log2(capacity)));
}

/** Writes records that one reader takes in order, from another thread, without either waiting for the other. */
export class RingWriter {
  readonly #bytes: Uint8Array;
  readonly #marks: Int32Array;
  readonly #lengths: Uint32Array;
  readonly #capacity: number;
  #written = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#capacity = memory.byteLength - headerBytes;
    this.#bytes = new Uint8Array(memory, headerBytes);
    this.#lengths = new Uint32Array(memory, headerBytes);
    this.#marks = new Int32Array(memory, 0, headerBytes / 4);
  }

  /** Copies `record`; the reader is woken by {@link wake}. @returns false when the reader is so far behind that there is no room */
  write(record: Uint8Array): boolean {
    const needed = paddedBytes(record.length);
    const position = this.#written % this.#capacity;
    const skipped = position + needed > this.#capacity ? this.#capacity - position : 0;
    const used = (this.#written - (Atomics.load(this.#marks, readAt) >>> 0)) >>> 0;
    if (needed > this.#capacity || used + skipped + needed > this.#capacity) return false;
    if (skipped > 0) this.#lengths[position / 4] = toBeginning;
    const start = skipped > 0 ? 0 : position;
    this.#lengths[start / 4] = record.length;
    this.#bytes.set(record, start + 4);
    this.#written = (this.#written + skipped + needed) >>> 0;
    Atomics.store(this.#marks, writtenAt, this.#written | 0);
    return true;
  }

  /** Once for many records: waking costs a system call. */
  wake(): void {
    Atomics.notify(this.#marks, writtenAt);
  }
}

/** The other end of a {@link RingWriter}. */
export class RingReader {
  readonly #bytes: Uint8Array;
  readonly #marks: Int32Array;
  readonly #lengths: Uint32Array;
  readonly #capacity: number;
  #read = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#capacity = memory.byteLength - headerBytes;
    this.#bytes = new Uint8Array(memory, headerBytes);
    this.#lengths = new Uint32Array(memory, headerBytes);
    this.#marks = new Int32Array(memory, 0, headerBytes / 4);
  }

  /** Calls `take` with each record that is there, as a view valid during the call. @returns how many there were */
  drain(take: (record: Uint8Array) => void): number {
    let count = 0;
    while (this.#read !== Atomics.load(this.#marks, writtenAt) >>> 0) {
      const position = this.#read % this.#capacity;
      const length = this.#lengths[position / 4]!;
      if (length === toBeginning) {
        this.#read = (this.#read + this.#capacity - position) >>> 0;
      } else {
        try {
          take(this.#bytes.subarray(position + 4, position + 4 + length));
        } finally {
          this.#read = (this.#read + paddedBytes(length)) >>> 0;
          Atomics.store(this.#marks, readAt, this.#read | 0);
        }
        count++;
      }
    }
    return count;
  }

  /** Resolves when there is something to {@link drain}. */
  async wait(): Promise<void> {
    const waiting = Atomics.waitAsync(this.#marks, writtenAt, this.#read | 0);
    if (waiting.async) await waiting.value;
  }
}
