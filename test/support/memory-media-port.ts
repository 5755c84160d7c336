import type {
  IceCandidate,
  MediaPort,
  PeerEvents,
  PeerState,
  PeerTransport,
  RemotePeer,
  RtpBatch,
  RtpRoute,
} from "../../media-node/webrtc/media-port.ts";
import { parseRtpPacket, type RtpPacket } from "../../media-node/rtp/rtp-packet.ts";
import { parseRtcp, type RtcpPacket } from "../../media-node/rtp/rtcp.ts";

/** One packet as a viewer would have received it. */
export interface SentPacket extends RtpPacket {
  readonly packetIndex: number;
  readonly extension: Uint8Array | undefined;
}

/** A viewer's side of the seam, in memory: what was queued for it, and what it tells us. */
export class MemoryPeer implements PeerTransport {
  readonly iceUfrag: string;
  readonly icePwd = "0123456789012345678901";
  readonly packets: SentPacket[] = [];
  readonly rtcp: RtcpPacket[][] = [];
  readonly #events: PeerEvents;
  remote: RemotePeer = { fingerprints: [] };
  state: PeerState = "new";
  backlogBytes = 0;
  closeReason: string | undefined;

  constructor(iceUfrag: string, events: PeerEvents) {
    this.iceUfrag = iceUfrag;
    this.#events = events;
  }

  setRemote(remote: RemotePeer): void {
    this.remote = remote;
  }

  queueRtp(batch: RtpBatch, from: number, to: number, route: RtpRoute): void {
    if (this.state !== "connected") return;
    for (let i = from; i < to; i++) {
      const bytes = batch.slab.slice(batch.offsets[i], batch.offsets[i + 1]);
      const view = new DataView(bytes.buffer);
      const packetIndex = route.packetIndex + i - from;
      bytes[1] = (bytes[1]! & 0x80) | route.payloadType;
      view.setUint16(2, packetIndex & 0xffff);
      view.setUint32(8, route.ssrc);
      this.packets.push({ ...parseRtpPacket(bytes), packetIndex, extension: route.extension });
    }
  }

  queueRtcp(packet: Uint8Array): void {
    if (this.state === "connected") this.rtcp.push(parseRtcp(packet.slice()));
  }

  close(reason: string): void {
    this.closeReason ??= reason;
    if (this.state === "closed") return;
    this.state = "closed";
    this.#events.onState("closed", reason);
  }

  /** ICE and DTLS are done. */
  connect(): void {
    this.state = "connected";
    this.#events.onState("connected", "");
  }

  /** The viewer sent this. */
  receive(packet: Uint8Array): void {
    this.#events.onRtcp(packet);
  }

  /** Packets of one payload type. */
  of(payloadType: number): SentPacket[] {
    return this.packets.filter((packet) => packet.payloadType === payloadType);
  }
}

/** A MediaPort without sockets. */
export class MemoryMediaPort implements MediaPort {
  readonly peers: MemoryPeer[] = [];
  readonly candidates: readonly IceCandidate[] = [
    { foundation: "1", protocol: "udp", priority: 2_130_706_431, address: "192.0.2.1", port: 10_000 },
    { foundation: "2", protocol: "tcp", priority: 1_671_430_143, address: "192.0.2.1", port: 10_000 },
  ];
  readonly fingerprint = `sha-256 ${Array.from({ length: 32 }, () => "CD").join(":")}`;
  readonly stats = {};
  readonly tier = "memory";
  flushes = 0;

  open(events: PeerEvents): PeerTransport {
    const peer = new MemoryPeer(`ufrag${this.peers.length}`, events);
    this.peers.push(peer);
    return peer;
  }

  flush(): void {
    this.flushes++;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
