/**
 * Reads big-endian values from `bytes` in order. Every read checks its bounds here, in one place, and throws what
 * `truncated` makes, so that each protocol reports its own error.
 */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #truncated: () => Error;
  offset = 0;

  constructor(bytes: Uint8Array, truncated: () => Error) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#truncated = truncated;
  }

  get remaining(): number {
    return this.bytes.length - this.offset;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u24(): number {
    const at = this.#take(3);
    return (this.#view.getUint16(at) << 8) | this.#view.getUint8(at + 2);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4));
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4));
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8));
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8));
  }

  /** The next `length` bytes as a view into the input: copy it to keep it past the input's life. */
  take(length: number): Uint8Array {
    const at = this.#take(length);
    return this.bytes.subarray(at, at + length);
  }

  skip(length: number): void {
    this.#take(length);
  }

  #take(length: number): number {
    if (length < 0 || length > this.remaining) throw this.#truncated();
    const at = this.offset;
    this.offset += length;
    return at;
  }
}
