/**
 * Memory that native code reads and writes: outside the JavaScript heap, never moved, held until {@link NativeSlab.release}.
 * `address` is 0 where there is no native code.
 */
export interface Slab {
  readonly bytes: Uint8Array;
  /** Of the same bytes: a word at any place in one step. */
  readonly view: DataView;
  /** Of `bytes[0]`; below 2^47, so a plain number holds it exactly. */
  readonly address: number;
}

// V8 collects a buffer whose last mention in JavaScript is past, even while native code works at its address. This set
// is that mention. It is per thread and holds nothing after the owners have released what they allocated.
const held = new Set<NativeSlab>();

/** A slab with views for the structures that live in it. Little-endian machines only; the library refuses others. */
export class NativeSlab implements Slab {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly u32: Uint32Array;
  readonly address: number;

  /** @param addressOf of a buffer's first byte; see {@link NativeLibrary} */
  constructor(byteLength: number, addressOf: (buffer: ArrayBuffer) => number) {
    const buffer = new ArrayBuffer(Math.ceil(byteLength / 8) * 8);
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.u32 = new Uint32Array(buffer);
    this.address = addressOf(buffer);
    held.add(this);
  }

  /** Writes a pointer or a 64-bit length; `at` is a multiple of 4. */
  setPointer(at: number, value: number): void {
    this.u32[at >> 2] = value % 0x1_0000_0000;
    this.u32[(at >> 2) + 1] = Math.floor(value / 0x1_0000_0000);
  }

  pointerAt(at: number): number {
    return this.u32[at >> 2]! + this.u32[(at >> 2) + 1]! * 0x1_0000_0000;
  }

  /** Forgets the contents. Native code must not be given this address again. */
  release(): void {
    this.bytes.fill(0);
    held.delete(this);
  }
}

/**
 * Rows of equal size for native structures, one per viewer, in chunks that are added as viewers come and kept.
 * A freed row is zeroed and reused.
 */
export class NativeRows {
  readonly #rowBytes: number;
  readonly #rowsPerChunk: number;
  readonly #newSlab: (byteLength: number) => NativeSlab;
  readonly #chunks: NativeSlab[] = [];
  readonly #free: NativeRow[] = [];

  constructor(rowBytes: number, newSlab: (byteLength: number) => NativeSlab, rowsPerChunk = 256) {
    this.#rowBytes = Math.ceil(rowBytes / 16) * 16;
    this.#rowsPerChunk = rowsPerChunk;
    this.#newSlab = newSlab;
  }

  take(): NativeRow {
    if (this.#free.length === 0) this.#grow();
    return this.#free.pop()!;
  }

  giveBack(row: NativeRow): void {
    row.slab.bytes.fill(0, row.at, row.at + this.#rowBytes);
    this.#free.push(row);
  }

  release(): void {
    for (const slab of this.#chunks.splice(0)) slab.release();
    this.#free.length = 0;
  }

  #grow(): void {
    const slab = this.#newSlab(this.#rowBytes * this.#rowsPerChunk);
    this.#chunks.push(slab);
    for (let i = this.#rowsPerChunk - 1; i >= 0; i--) {
      const at = i * this.#rowBytes;
      this.#free.push({ slab, at, address: slab.address + at });
    }
  }
}

export interface NativeRow {
  readonly slab: NativeSlab;
  readonly at: number;
  readonly address: number;
}
