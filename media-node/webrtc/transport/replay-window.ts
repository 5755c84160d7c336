/** Accepts each index once and none older than 63 behind the newest (RFC 3711 §3.3.2). */
export class ReplayWindow {
  #newest = -1;
  // Bit i stands for index `newest − i`; two words, since JavaScript shifts 32 bits.
  #low = 0;
  #high = 0;

  /** Whether `index` may still come; call {@link accept} only after the packet was authenticated. */
  mayCome(index: number): boolean {
    const age = this.#newest - index;
    if (age < 0) return true;
    if (age > 63) return false;
    return age < 32 ? ((this.#low >>> age) & 1) === 0 : ((this.#high >>> (age - 32)) & 1) === 0;
  }

  accept(index: number): void {
    const ahead = index - this.#newest;
    if (ahead > 0) {
      this.#shift(ahead);
      this.#newest = index;
      this.#low |= 1;
    } else if (ahead > -32) this.#low |= 1 << -ahead;
    else this.#high |= 1 << (-ahead - 32);
  }

  #shift(by: number): void {
    if (by >= 64) this.#low = this.#high = 0;
    else if (by >= 32) {
      this.#high = this.#low << (by - 32);
      this.#low = 0;
    } else {
      this.#high = (this.#high << by) | (this.#low >>> (32 - by));
      this.#low <<= by;
    }
  }
}

/** Media has at most audio, video and their repairs in one connection; a viewer that uses more sources is refused them. */
const maxSources = 16;

/** A window for each sender: SRTCP counts per SSRC (RFC 3711 §3.2.3), and a browser reports from several. */
export class ReplayWindows {
  readonly #windows = new Map<number, ReplayWindow>();

  mayCome(ssrc: number, index: number): boolean {
    const window = this.#windows.get(ssrc);
    return window ? window.mayCome(index) : this.#windows.size < maxSources;
  }

  /** Only after the packet was authenticated. */
  accept(ssrc: number, index: number): void {
    let window = this.#windows.get(ssrc);
    if (!window) this.#windows.set(ssrc, (window = new ReplayWindow()));
    window.accept(index);
  }
}
