import { RingWriter } from "./shared-ring.ts";
import { recordKinds, type WorkerCommand } from "./worker-messages.ts";

const encoder = new TextEncoder();

/** The main thread's end of a worker's ring. Commands are never lost; media is, when the worker does not keep up. */
export class WorkerLink {
  readonly #ring: RingWriter;
  readonly #waiting: Uint8Array[] = [];
  /** Tracks that lost a sample: nothing of them until a key frame. */
  readonly #broken = new Set<string>();
  /** Samples the worker did not get. */
  dropped = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#ring = new RingWriter(memory);
  }

  /** Commands wait for room: {@link resume} has to be called. */
  get isBlocked(): boolean {
    return this.#waiting.length > 0;
  }

  command(command: WorkerCommand): void {
    const json = encoder.encode(JSON.stringify(command));
    const record = new Uint8Array(1 + json.length);
    record[0] = recordKinds.command;
    record.set(json, 1);
    this.#waiting.push(record);
    this.resume();
  }

  /**
   * Writes one sample; {@link wake} makes the worker look.
   * @param track names stream and track
   */
  sample(record: Uint8Array, track: string, isKeyframe: boolean): void {
    if (isKeyframe) this.#broken.delete(track);
    // In order behind the commands, or not at all.
    if (!this.isBlocked && !this.#broken.has(track) && this.#ring.write(record)) return;
    this.dropped++;
    this.#broken.add(track);
  }

  wake(): void {
    this.#ring.wake();
  }

  /** Writes what waits, as far as there is room. */
  resume(): void {
    while (this.#waiting.length > 0 && this.#ring.write(this.#waiting[0]!)) this.#waiting.shift();
    this.#ring.wake();
  }
}
