/**
 * The seam inside this room: below it ICE-lite, DTLS, SRTP and sockets (`transport/`), above it SDP, signalling,
 * sessions and the fan-out. Everything above can be tested with an in-memory port.
 */

/** One host candidate (RFC 8839 §5.1). */
export interface IceCandidate {
  readonly foundation: string;
  readonly protocol: "udp" | "tcp";
  readonly priority: number;
  /** IPv4 or IPv6 literal. */
  readonly address: string;
  readonly port: number;
}

/** RTP packets of one frame (or one audio packet), packetized once for all viewers. */
export interface RtpBatch {
  /** Packets back to back, each with its full RTP header; sequence number, SSRC and payload type are rewritten per viewer. */
  readonly slab: Uint8Array;
  /** Start of packet i in `slab`; `offsets[count]` is the end of the last. */
  readonly offsets: Uint32Array;
  readonly count: number;
}

/** Decided per viewer and track; `sequence` is that of the batch's first packet. */
export interface RtpRoute {
  readonly ssrc: number;
  readonly payloadType: number;
  /** 48-bit packet index (RFC 3711 §3.3.1): 65,536 × rollover counter + sequence number. */
  readonly packetIndex: number;
  /** A header extension that is put behind each header, which has none of its own; a multiple of four bytes. */
  readonly extension?: Uint8Array | undefined;
}

export type PeerState = "new" | "connected" | "closed";

export interface PeerEvents {
  onState(state: PeerState, reason: string): void;
  /** One decrypted, authenticated RTCP packet (may be compound); a view that is valid during the call only. */
  onRtcp(packet: Uint8Array): void;
}

/** What a viewer's SDP says about its own end of the transport. */
export interface RemotePeer {
  /** As `sha-256 AA:BB:…`. */
  readonly fingerprints: readonly string[];
  readonly iceUfrag?: string | undefined;
  readonly icePwd?: string | undefined;
}

/** What a viewer names its place by (RFC 8445 §5.3). */
export interface IceCredentials {
  readonly iceUfrag: string;
  readonly icePwd: string;
}

/** One viewer's ICE, DTLS and SRTP state. */
export interface PeerTransport {
  readonly iceUfrag: string;
  readonly icePwd: string;
  readonly state: PeerState;
  /**
   * From the viewer's SDP. Until it is called no DTLS handshake completes.
   * With the ICE credentials a new address of a connected viewer gets media only after it has answered a check of ours;
   * without them it is believed.
   */
  setRemote(remote: RemotePeer): void;
  /**
   * Protects the batch for this viewer and queues it; {@link MediaPort.flush} sends. Drops silently unless connected.
   * Allocates nothing.
   * @param from,to packets `from ≤ i < to` of the batch
   */
  queueRtp(batch: RtpBatch, from: number, to: number, route: RtpRoute): void;
  /** Protects and queues one plain RTCP packet (compound allowed). */
  queueRtcp(packet: Uint8Array): void;
  /** Bytes waiting for this viewer below us (TCP candidates only; UDP is 0). */
  readonly backlogBytes: number;
  /** Sends DTLS close_notify and forgets the viewer. May be called twice. */
  close(reason: string): void;
}

/** One UDP port (and TCP on the same number) with all its viewers. */
export interface MediaPort {
  /** Best first. */
  readonly candidates: readonly IceCandidate[];
  /** Of this node's certificate, as `a=fingerprint` takes it: `sha-256 AA:BB:…`. */
  readonly fingerprint: string;
  /**
   * A place for one viewer, reachable by its ufrag from now on; closed if not connected within 15 s.
   * @param credentials default new ones
   */
  open(events: PeerEvents, credentials?: IceCredentials): PeerTransport;
  /** Hands everything queued to the kernel. */
  flush(): void;
  /** Datagrams and bytes in and out, what was dropped and why; and which tier was chosen at start (`"ffi-gso"`, `"ffi"`, `"portable"`). */
  readonly stats: Readonly<Record<string, number>>;
  readonly tier: string;
  close(): Promise<void>;
}
