import type { StreamDescription } from "../../core/stream.ts";
import type { StreamName } from "../../core/stream-name.ts";
import type { Track } from "../../core/track.ts";
import type { CloseReason } from "../../flow/close-group.ts";
import type { LogFields } from "../../flow/logger.ts";
import type { WebRtcConfig } from "../config.ts";
import type { IceCandidate, RemotePeer } from "../media-port.ts";
import type { Negotiated } from "../negotiation.ts";
import type { PlayableRendition } from "../renditions.ts";
import type { StreamStats } from "../stream-counters.ts";
import type { NodeCertificate } from "../transport/certificate.ts";

/** How a media worker is started. */
export interface WorkerStart {
  readonly ring: SharedArrayBuffer;
  readonly port: {
    readonly addresses?: readonly string[];
    readonly port: number;
    readonly advertisedAddresses?: readonly string[];
    readonly consentMs?: number;
    readonly certificate: NodeCertificate;
  };
}

/** Decoder configurations are in the packets already, and bytes are no JSON. */
export function withoutBytes(track: Track): Track {
  const plain: { -readonly [Key in keyof Track]: Track[Key] } = { ...track };
  delete plain.decoderConfig;
  return plain;
}

/** First byte of a record in the ring. */
export const recordKinds = { command: 1, sample: 2 } as const;
/** Bytes before the content of a sample's record: kind (8), 0 (24), stream (32). */
export const sampleHeadBytes = 8;

/** To a worker, as JSON in the ring, so that it stays in order with the media. Numbers name streams and viewers. */
export type WorkerCommand =
  | {
      readonly type: "stream";
      readonly stream: number;
      readonly name: StreamName;
      readonly description: StreamDescription;
      /** Of the application it belongs to. */
      readonly config: WebRtcConfig;
    }
  | {
      readonly type: "describe";
      readonly stream: number;
      readonly description: StreamDescription;
      readonly isDiscontinuity: boolean;
    }
  | { readonly type: "end"; readonly stream: number; readonly reason: CloseReason }
  | {
      readonly type: "open";
      readonly viewer: number;
      readonly stream: number;
      readonly iceUfrag: string;
      readonly icePwd: string;
    }
  | {
      readonly type: "accept";
      readonly viewer: number;
      readonly negotiated: Negotiated;
      readonly remote: RemotePeer;
      readonly rendition: PlayableRendition;
    }
  | {
      readonly type: "switch";
      readonly viewer: number;
      readonly rendition: PlayableRendition;
      /** Comes back in `switched`. */
      readonly request: number;
    }
  | { readonly type: "choose"; readonly viewer: number; readonly renditions: readonly PlayableRendition[] }
  | { readonly type: "close"; readonly viewer: number; readonly reason: CloseReason };

/** From a worker, by message port. */
export type WorkerReport =
  | {
      readonly type: "ready";
      readonly candidates: readonly IceCandidate[];
      readonly fingerprint: string;
      readonly tier: string;
    }
  | { readonly type: "failed"; readonly message: string }
  | { readonly type: "connected"; readonly viewer: number; readonly codecs: string }
  | { readonly type: "first-media"; readonly viewer: number }
  | { readonly type: "ended"; readonly viewer: number; readonly reason: CloseReason }
  | { readonly type: "switched"; readonly viewer: number; readonly request: number }
  /** Automatic mode went over to this rendition. */
  | { readonly type: "chosen"; readonly viewer: number; readonly rendition: string }
  | { readonly type: "keyframe"; readonly stream: number; readonly track: number }
  | { readonly type: "log"; readonly level: "warn" | "error"; readonly event: string; readonly fields: LogFields }
  | {
      readonly type: "stats";
      readonly port: Readonly<Record<string, number>>;
      readonly streams: WorkerStreamStats;
      readonly sent: WorkerSentBytes;
    };

/** By the number of the stream. */
export type WorkerStreamStats = readonly (readonly [stream: number, stats: StreamStats])[];

/** By the number of the viewer. */
export type WorkerSentBytes = readonly (readonly [viewer: number, bytes: number])[];
