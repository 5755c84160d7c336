import type { TrackMeasure } from "../../core/stream-meter.ts";
import type { LoggedEvent } from "../../flow/event-log.ts";

/** All that a node knows of one stream, for people: nothing in it is a secret. */
export interface StreamFacts {
  /** `vhost/app/stream`. */
  readonly name: string;
  readonly node: { readonly id: string; readonly state: "starting" | "serving" | "draining" };
  /** Undefined for a stream that is not here: then there are only events. */
  readonly live?: LiveFacts | undefined;
  readonly events: readonly LoggedEvent[];
}

export interface LiveFacts {
  readonly phase: "live" | "lost" | "connecting" | "closed" | "published";
  /** Where it is pulled from, masked; all places in order of preference. */
  readonly sourceUrl: string;
  readonly urls: readonly string[];
  readonly from: string;
  readonly failovers: number;
  /** Since the last sample. */
  readonly silenceMs: number;
  /** Node ids from the first origin to the previous hop. */
  readonly path: readonly string[];
  readonly originId: string;
  readonly isClockShared: boolean;
  /** Age of the newest sample by the stream's clock. */
  readonly ageMs: number | undefined;
  readonly tracks: readonly TrackMeasure[];
  readonly lastKeyframeAgeMs: number | undefined;
  readonly discontinuities: number;
  readonly viewers: Readonly<Record<string, number>>;
  readonly sent: Readonly<Record<string, number>>;
  readonly webrtc?:
    | { readonly lossShare: number; readonly roundTripMs: number; readonly drops: number; readonly viewers: number }
    | undefined;
  /** How this node's claim as origin stands; undefined where it makes none. */
  readonly lease: "owner" | "standby" | "unknown" | undefined;
}
