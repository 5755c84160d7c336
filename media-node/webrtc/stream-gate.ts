import type { StreamHold, StreamHub, StreamRequest } from "../core/stream-hub.ts";
import type { StreamName } from "../core/stream-name.ts";
import type { Stream } from "../core/stream.ts";
import type { Clock } from "../time/clock.ts";
import { sleep } from "../time/sleep.ts";
import { isOrderKnown } from "./playable-tracks.ts";

/** A hold on a stream that can be offered; or why not. */
export type GateResult =
  | { readonly kind: "open"; readonly hold: StreamHold }
  | { readonly kind: "not-found"; readonly reason: string }
  | { readonly kind: "not-yet"; readonly reason: string };

export interface GateOptions {
  readonly hub: Pick<StreamHub, "acquire">;
  readonly clock: Clock;
  readonly holdMs: number;
}

/** A source that could not be had is asked for again after this time, as long as the request is held. */
const retryMs = 500;
/** How long an offer waits for a first picture that tells whether there are B-frames. */
const pictureMs = 3_000;

/**
 * Holds a first request until its stream can be offered. Players take a refusal as final, so "it is coming" must not
 * look like one.
 * @param signal aborted when the viewer has gone; then the result is `not-yet`
 */
export async function passGate(
  name: StreamName,
  request: Required<Pick<StreamRequest, "rawQuery" | "client" | "trace">> & { readonly protocol: "webrtc" | "whep" },
  { hub, clock, holdMs }: GateOptions,
  signal: AbortSignal,
): Promise<GateResult> {
  const deadlineMs = clock.nowMs() + holdMs;
  const giveUp = new AbortController();
  const timer = clock.after(holdMs, () => giveUp.abort());
  const either = AbortSignal.any([signal, giveUp.signal]);
  try {
    for (;;) {
      const result = await hub.acquire(name, request, either);
      if (result.kind === "stream") {
        await pictureKnown(result.hold.stream, clock, Math.min(pictureMs, deadlineMs - clock.nowMs()), either);
        if (!signal.aborted && !result.hold.stream.isClosed) return { kind: "open", hold: result.hold };
        result.hold.release();
        return { kind: "not-yet", reason: "the stream ended" };
      }
      if (result.kind === "not-found") return result;
      if (either.aborted || clock.nowMs() + retryMs >= deadlineMs) return { kind: "not-yet", reason: result.reason };
      await sleep(clock, retryMs, either);
    }
  } finally {
    timer.cancel();
  }
}

/** Resolves when the order of pictures is known, or cannot be known in time. */
function pictureKnown(stream: Stream, clock: Clock, waitMs: number, signal: AbortSignal): Promise<void> {
  const isKnown = (): boolean =>
    stream.recentSamples().length > 0 || stream.description.tracks.every((track) => isOrderKnown(track));
  if (isKnown() || signal.aborted || waitMs <= 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = clock.after(waitMs, done);
    signal.addEventListener("abort", done, { once: true });
    const leave = stream.addReader({
      onSample: () => {
        if (isKnown()) done();
      },
      onDescription: () => {
        if (isKnown()) done();
      },
      onEnd: () => queueMicrotask(done),
    });
    function done(): void {
      timer.cancel();
      leave();
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}
