import type { AcquireResult, StreamHold, StreamHub, StreamRequest } from "../core/stream-hub.ts";
import type { StreamName } from "../core/stream-name.ts";
import type { Stream } from "../core/stream.ts";
import type { Clock } from "../time/clock.ts";
import type { TrackMeasure } from "./description-mapping.ts";

/** OvenMediaEngine edges hang up after 1.5 s without an answer. */
export const describeDeadlineMs = 1_200;
/** Hearth edges wait 5 s, so that a chain of relays has time to open. */
export const hearthDeadlineMs = 4_000;

export type LookupResult =
  | { readonly kind: "stream"; readonly hold: StreamHold }
  | { readonly kind: "not-found" }
  /** It is being pulled, or its tracks are not yet fully known: worth asking again. */
  | { readonly kind: "not-ready" };

export interface LookupOptions {
  readonly clock: Clock;
  readonly withinMs: number;
  /**
   * Whether there must be media to send at once. An OvenMediaEngine edge that has been without media for 3 s gives every
   * new session only 100 ms, and would connect five times a second for as long as the source is silent.
   */
  readonly needsMedia?: boolean;
}

/** Finds a stream that can be described in full, pulling it when this node can; gives up after `withinMs`. */
export async function lookUpStream(
  hub: Pick<StreamHub, "acquire">,
  name: StreamName,
  request: StreamRequest,
  { clock, withinMs, needsMedia = false }: LookupOptions,
): Promise<LookupResult> {
  const abort = new AbortController();
  const deadline = clock.after(withinMs, () => abort.abort());
  try {
    const result: AcquireResult = await hub.acquire(name, request, abort.signal);
    if (result.kind === "not-found") return { kind: "not-found" };
    if (result.kind === "unavailable") return { kind: "not-ready" };
    const { stream } = result.hold;
    const isReady = await becomes(stream, isComplete, abort.signal);
    if (isReady && (!needsMedia || (await becomes(stream, hasMedia, abort.signal)))) {
      return { kind: "stream", hold: result.hold };
    }
    result.hold.release();
    return { kind: "not-ready" };
  } finally {
    deadline.cancel();
  }
}

/** Whether an edge can set up decoders by this description alone. */
function isComplete({ description: { tracks } }: Stream): boolean {
  return tracks.every(({ codec, decoderConfig }) => !["h264", "h265", "aac"].includes(codec) || decoderConfig);
}

/** Whether media is kept, or flows. */
function hasMedia(stream: Stream, isFlowing = false): boolean {
  return isFlowing || stream.recentSamples().length > 0;
}

/** Waits until something is true of a live stream; false when it ends before, or `signal` aborts. */
async function becomes(
  stream: Stream,
  isTrue: (stream: Stream, isFlowing?: boolean) => boolean,
  signal: AbortSignal,
): Promise<boolean> {
  if (stream.isClosed || isTrue(stream)) return !stream.isClosed;
  return new Promise((resolve) => {
    const settle = (isReady: boolean): void => {
      remove();
      signal.removeEventListener("abort", onAbort);
      resolve(isReady);
    };
    const onAbort = (): void => settle(false);
    const remove = stream.addReader({
      onSample: () => isTrue(stream, true) && settle(true),
      onDescription: () => isTrue(stream) && settle(true),
      onEnd: () => queueMicrotask(() => settle(false)),
    });
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

/** Bits and frames per second of every track over the recent media; edges start at once when they are told. */
export function measureTracks(stream: Stream): ReadonlyMap<number, TrackMeasure> {
  const sums = new Map<number, { count: number; bytes: number; firstDts: number; lastDts: number }>();
  for (const { trackId, dts, data } of stream.recentSamples(Number.MAX_SAFE_INTEGER)) {
    const sum = sums.get(trackId);
    if (!sum) sums.set(trackId, { count: 1, bytes: data.length, firstDts: dts, lastDts: dts });
    else {
      sum.count++;
      sum.bytes += data.length;
      sum.lastDts = dts;
    }
  }
  const measures = new Map<number, TrackMeasure>();
  for (const [id, { count, bytes, firstDts, lastDts }] of sums) {
    const timescale = stream.track(id)?.timescale ?? 0;
    const seconds = ((lastDts - firstDts) / timescale) * (count / (count - 1));
    if (count < 2 || !(seconds > 0)) continue;
    measures.set(id, {
      bitrate: Math.round((bytes * 8) / seconds),
      framerate: Math.round((count / seconds) * 100) / 100,
    });
  }
  return measures;
}
