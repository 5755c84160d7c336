import type { PlayoutDelay } from "../rtp/playout-delay.ts";

/** Urls with their scheme, plain characters in all. */
export interface IceServer {
  readonly urls: readonly string[];
  readonly username?: string;
  readonly credential?: string;
}

/** What an operator may set of WebRTC delivery. */
export interface WebRtcConfig {
  /** How long a first request waits for a stream that is coming. */
  readonly holdMs: number;
  /** Viewers and negotiations at the same time; more are told to try another node. */
  readonly maxSessions: number;
  /** Offers retransmission (RFC 4588) and answers NACKs. */
  readonly rtx: boolean;
  /** Largest RTP packet with its header: SRTP, UDP and IPv6 around it stay below 1,280 bytes. */
  readonly maxPacketBytes: number;
  /** A cached key frame older than this is not sent to a viewer who joins; the next one is waited for. */
  readonly burstMaxAgeMs: number;
  readonly burstMaxBytes: number;
  /** The playlist of two tracks that needs no configuration; without it a viewer has to name one. */
  readonly createDefaultPlaylist: boolean;
  /** Asked of players that know the extension; absent: they choose by the jitter they see. */
  readonly playoutDelay?: PlayoutDelay;
  /** Media threads beside the main one that may send one stream, and all streams of one application. */
  readonly maxStreamThreads: number;
  readonly maxAppThreads: number;
  /** STUN and TURN servers of others that players are told of. */
  readonly iceServers: readonly IceServer[];
  /** Bytes waiting for one viewer below us before video is dropped up to the next key frame. */
  readonly maxBacklogBytes: number;
}

export const defaultWebRtcConfig: WebRtcConfig = {
  holdMs: 8_000,
  maxSessions: 20_000,
  rtx: true,
  maxPacketBytes: 1_200,
  burstMaxAgeMs: 3_000,
  burstMaxBytes: 4 * 1024 * 1024,
  createDefaultPlaylist: true,
  maxStreamThreads: 128,
  maxAppThreads: 128,
  iceServers: [],
  maxBacklogBytes: 512 * 1024,
};
