/** Reads bits, most significant first, and Exp-Golomb codes (ITU-T H.264 §9.1). Throws what `truncated` makes at the end. */
export class BitReader {
  readonly #bytes: Uint8Array;
  readonly #truncated: () => Error;
  #bit = 0;

  constructor(bytes: Uint8Array, truncated: () => Error) {
    this.#bytes = bytes;
    this.#truncated = truncated;
  }

  get remainingBits(): number {
    return this.#bytes.length * 8 - this.#bit;
  }

  /** The next `count` bits (0…32) as an unsigned number. */
  bits(count: number): number {
    if (count > this.remainingBits) throw this.#truncated();
    let value = 0;
    for (let i = 0; i < count; i++, this.#bit++) {
      value = value * 2 + ((this.#bytes[this.#bit >> 3]! >> (7 - (this.#bit & 7))) & 1);
    }
    return value;
  }

  flag(): boolean {
    return this.bits(1) === 1;
  }

  /** ue(v) */
  unsignedGolomb(): number {
    let zeros = 0;
    while (!this.flag()) if (++zeros > 31) throw this.#truncated();
    return 2 ** zeros - 1 + this.bits(zeros);
  }

  /** se(v) */
  signedGolomb(): number {
    const code = this.unsignedGolomb();
    return code % 2 === 1 ? (code + 1) / 2 : -code / 2;
  }
}
