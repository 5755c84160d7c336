import { isGap, type MediaSegment } from "./media-segment.ts";
import type { PreparedFile } from "./reply.ts";
import type { RewindDisk, StoredFile } from "./rewind-disk.ts";

/** A segment that can be rewound to. */
export interface RewindSegment extends Pick<
  MediaSegment,
  "msn" | "uri" | "initUri" | "startMs" | "durationMs" | "discontinuities"
> {
  /** Undefined for a segment in which the source sent nothing. */
  readonly file: StoredFile | undefined;
  /** With the header lines of every answer with a part of it. */
  readonly prepared: PreparedFile | undefined;
}

export interface RewindWindowOptions {
  readonly disk: RewindDisk;
  /** Segments kept at most: so many cells of the grid as the window is long. */
  readonly maxSegments: number;
}

/**
 * The whole segments of one track since this node joined the stream, numbered without a hole: after one that could not be
 * kept, the window begins anew. Its length is a count of cells, so that edges which have it all list the same.
 */
export class RewindWindow {
  readonly #options: RewindWindowOptions;
  readonly #byUri = new Map<string, RewindSegment>();
  readonly #inits = new Map<string, { readonly file: PreparedFile; users: number }>();
  #segments: RewindSegment[] = [];
  #version = 0;
  #isClosed = false;

  constructor(options: RewindWindowOptions) {
    this.#options = options;
  }

  /** Grows with everything that {@link before} may answer. */
  get version(): number {
    return this.#version;
  }

  /** A segment was completed. @param file undefined for one without media */
  keep(segment: MediaSegment, file: PreparedFile | undefined, init: PreparedFile | undefined): void {
    // One that was joined in its middle is listed by nobody else.
    if (this.#isClosed || (this.#segments.length === 0 && !segment.isCanonical)) return;
    const last = this.#segments.at(-1);
    if (last && segment.msn !== last.msn + 1) this.#dropUpTo(last.msn);
    const { msn, uri, initUri, startMs, durationMs, discontinuities } = segment;
    const media = isGap(segment) ? undefined : file;
    // Later, in a turn of its own, when the segment stands in the window.
    const onLost = (): void => queueMicrotask(() => this.#dropUpTo(msn));
    const stored = media && this.#options.disk.store(media.pieces, onLost);
    const prepared = media && media.withoutPieces();
    const kept = { msn, uri, initUri, startMs, durationMs, discontinuities, file: stored, prepared };
    this.#segments.push(kept);
    this.#byUri.set(uri, kept);
    if (init) this.#useInit(initUri, init);
    this.#version++;
    if (this.#segments.length > this.#options.maxSegments) this.#dropUpTo(msn - this.#options.maxSegments);
  }

  /** What can be rewound to before segment `msn`, oldest first, up to the one right before it. */
  before(msn: number): readonly RewindSegment[] {
    const first = this.#segments[0]?.msn;
    if (first === undefined || msn <= first || msn > this.#segments.at(-1)!.msn + 1) return [];
    return this.#segments.slice(0, msn - first);
  }

  find(uri: string): RewindSegment | undefined {
    return this.#byUri.get(uri);
  }

  init(uri: string): PreparedFile | undefined {
    return this.#inits.get(uri)?.file;
  }

  /** Removes everything. */
  close(): void {
    this.#isClosed = true;
    this.#dropUpTo(Number.POSITIVE_INFINITY);
  }

  #useInit(uri: string, file: PreparedFile): void {
    const known = this.#inits.get(uri);
    if (known) known.users++;
    else this.#inits.set(uri, { file, users: 1 });
  }

  #dropUpTo(msn: number): void {
    let count = 0;
    while (count < this.#segments.length && this.#segments[count]!.msn <= msn) count++;
    if (count === 0) return;
    for (const { uri, initUri, file } of this.#segments.splice(0, count)) {
      file?.remove();
      this.#byUri.delete(uri);
      const init = this.#inits.get(initUri);
      if (init && --init.users === 0) this.#inits.delete(initUri);
    }
    this.#version++;
  }
}
