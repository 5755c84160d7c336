import type { Sample } from "./sample.ts";

/** Cues remembered; what an origin repeats to who joins is far less. */
const maxSeen = 512;

/** Tells cues that come again, from another origin or from the same after a new connection, from new ones. */
export class SeenCues {
  readonly #seen = new Set<string>();

  /** Whether this cue never came before; from now on it did. @param pts in the stream's own time */
  isNew({ trackId, duration, data }: Sample, pts: number): boolean {
    const name = `${trackId} ${pts} ${duration} ${Buffer.from(data).toString("latin1")}`;
    if (this.#seen.has(name)) return false;
    this.#seen.add(name);
    if (this.#seen.size > maxSeen) for (const oldest of this.#seen) return this.#seen.delete(oldest);
    return true;
  }
}
