import type { CloseReason } from "../flow/close-group.ts";
import { TransportError } from "../flow/errors.ts";
import type { Sample } from "./sample.ts";
import type { StreamName } from "./stream-name.ts";
import type { StreamDescription } from "./stream.ts";

/** Where a source delivers to. Nothing is called before `start` or after `onEnd`. */
export interface SourceSink {
  onSample(sample: Sample): void;
  /** The source's tracks changed while it plays. */
  onDescription(description: StreamDescription): void;
  /** The source is over, for whatever reason but our own `close`. Called once. */
  onEnd(reason: CloseReason): void;
}

/** One connection to one upstream, described and ready to play. */
export interface Source {
  readonly description: StreamDescription;
  /** Begins delivering to `sink`; called once. Samples may follow in the same turn. */
  start(sink: SourceSink): void;
  /** Milliseconds it took to be connected, where that is known. */
  readonly connectMs?: number | undefined;
  /**
   * Milliseconds that media lately took from the upstream node to here, where that node tells: its clock's error and this
   * one's are in it.
   */
  readonly hopMs?: number | undefined;
  /** Asks the upstream for a key frame, where its protocol can. */
  requestKeyframe?(trackId: number): void;
  /** Lets go of the upstream; resolves when its sockets and timers are gone. May be called twice. */
  close(reason: CloseReason): Promise<void>;
}

/** Thrown by an {@link OpenSource} whose upstream answered that there is no such stream: a normal answer, not a fault. */
export class NoSuchStream extends Error {
  override readonly name = "NoSuchStream";
}

/** Thrown by an {@link OpenSource} whose upstream has the stream and cannot play it yet: worth asking again soon. */
export class StreamNotReady extends TransportError {}

/**
 * Opens one upstream. Rejects with `NoSuchStream`, `TransportError` or `ProtocolError`.
 * Owns everything it opened until it resolves; `signal` ends the attempt at once.
 * @param url complete, of the scheme this opener is registered for; may hold credentials, so it is never logged as it is
 */
export type OpenSource = (url: string, options: OpenSourceOptions) => Promise<Source>;

export interface OpenSourceOptions {
  readonly signal: AbortSignal;
  /** Nodes that wait for this stream, from the one nearest the viewer on; see `StreamRequest.via`. */
  readonly via?: readonly string[];
  /** As viewers name what is pulled. */
  readonly stream?: StreamName;
  /** What its viewers are shown so far, where it takes another source's place. */
  readonly shown?: () => StreamDescription | undefined;
  /** The trace id of the request that began the pull, for the upstream's log. */
  readonly trace?: string;
  /** The upstream's own clock (RTP: its sender reports) is wrong; time is told by arrival. */
  readonly ignoresSourceClock?: boolean;
  /** Only asks whether the stream is there: nothing is played, and the source is closed without being started. */
  readonly isProbe?: boolean;
}
