import { opusClockRate } from "../codecs/opus.ts";

/** Frames in flight are far fewer: 4,096 are more than a minute of sound. */
const maxFrames = 4_096;
/** Packets follow each other without a seam until the source's own times differ by this: 10 ms. */
const toleranceTicks = 480;

/**
 * Which source time every Opus packet has. An encoder returns the sound it was given, without a gap, shifted by its
 * look-ahead; so the n-th sample that comes out is the n-th that went in, and has the time of the frame it was in.
 */
export class SoundTimeline {
  /** Ticks at 48 kHz in one source frame; not always whole. */
  readonly #frameTicks: number;
  /** Times of frames from number `#first` on, at 48 kHz. */
  readonly #times: number[] = [];
  #first = 0;
  /** Which sample, counted from the first that went in, the next packet begins with. */
  #position = 0;
  #next: number | undefined;

  /** @param frameSeconds what one source frame plays */
  constructor(frameSeconds: number) {
    this.#frameTicks = frameSeconds * opusClockRate;
  }

  /** The encoder's look-ahead: so many samples come out before the first that went in. */
  skip(samples: number): void {
    this.#position -= samples;
  }

  /** Frames that went in and did not come out yet. */
  get framesAhead(): number {
    return this.#first + this.#times.length - Math.max(0, this.#position) / this.#frameTicks;
  }

  /** One more frame goes in. @param time at 48 kHz */
  feed(time: number): void {
    this.#times.push(time);
    if (this.#times.length > maxFrames) this.#forget(1);
  }

  /** The time, at 48 kHz, of the next packet of `samples`; undefined when nothing went in. Always greater than the last. */
  take(samples: number): number | undefined {
    const frame = Math.max(this.#first, Math.floor(this.#position / this.#frameTicks));
    this.#forget(Math.min(frame - this.#first, this.#times.length - 1));
    const start = this.#times[0];
    if (start === undefined) return undefined;
    const mapped = Math.round(start + this.#position - this.#first * this.#frameTicks);
    this.#position += samples;
    const expected = this.#next ?? mapped;
    const isSeamless = Math.abs(mapped - expected) <= toleranceTicks;
    const time = isSeamless ? expected : Math.max(mapped, expected - samples + 1);
    this.#next = time + samples;
    return time;
  }

  #forget(frames: number): void {
    if (frames <= 0) return;
    this.#times.splice(0, frames);
    this.#first += frames;
  }
}

/** `ticks` of one clock in those of another, rounded; whole seconds apart, since the product could leave the safe integers. */
export function rescaleTicks(ticks: number, from: number, to: number): number {
  const seconds = Math.floor(ticks / from);
  return seconds * to + Math.round(((ticks - seconds * from) * to) / from);
}
