// A viewer below the signalling: full-ICE checks, DTLS client and SRTP, over one UDP socket or TCP connection.
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { connect, type Socket as TcpSocket } from "node:net";
import { SrtcpSession, SrtpSession } from "werift";
import type { IceCandidate, PeerTransport } from "../../media-node/webrtc/media-port.ts";
import { loadNativeLibrary } from "../../media-node/webrtc/native/library.ts";
import { OpensslDtls, type DtlsConnection } from "../../media-node/webrtc/native/openssl-dtls.ts";
import { newCertificate } from "../../media-node/webrtc/transport/certificate.ts";
import { exportLengthOf, saltLengthOf, type SrtpProfile } from "../../media-node/webrtc/transport/srtp-keys.ts";
import {
  parseStun,
  serializeStun,
  stunAttributes,
  stunTypes,
  type StunAttribute,
} from "../../media-node/webrtc/transport/stun.ts";

const library = loadNativeLibrary();
export const viewerCertificate = newCertificate(Date.now());
/** One OpenSSL context serves all viewers of a test. */
const client = new OpensslDtls(library, library.ssl!, "client", viewerCertificate);
/** Who knows no GCM: GStreamer, @roamhq/wrtc. */
const cmClient = new OpensslDtls(library, library.ssl!, "client", viewerCertificate, "SRTP_AES128_CM_SHA1_80");

/** What its SDP would say. */
export const viewerCredentials = { iceUfrag: "peer", icePwd: "the password of the viewer" };

export interface CheckOptions {
  readonly isNominating?: boolean;
  readonly role?: number;
  readonly password?: string;
  readonly username?: string;
}

/** A binding request as a browser makes it. */
export function makeCheck(peer: PeerTransport, options: CheckOptions = {}): Uint8Array {
  const { isNominating = true, role = stunAttributes.iceControlling } = options;
  const attributes: StunAttribute[] = [
    [stunAttributes.username, Buffer.from(options.username ?? `${peer.iceUfrag}:peer`)],
    [role, Buffer.alloc(8, 1)],
    [stunAttributes.priority, Buffer.from("6e0001ff", "hex")],
  ];
  if (isNominating) attributes.push([stunAttributes.useCandidate, new Uint8Array()]);
  const id = randomBytes(12).toString("hex");
  return serializeStun(stunTypes.bindingRequest, id, attributes, options.password ?? peer.icePwd);
}

export class TransportViewer {
  readonly received: Buffer[] = [];
  readonly rtp: Buffer[] = [];
  readonly rtcp: Buffer[] = [];
  bytesIn = 0;
  bytesOut = 0;
  /** Receives, but says nothing by itself. */
  isSilent = false;
  /** What it sent, while {@link keepsSent}. */
  readonly sent: Uint8Array[] = [];
  keepsSent = false;
  /** The TCP connection was closed by the other side. */
  isEnded = false;
  /**
   * Packets that no key of this session protects, dropped as RFC 3711 §3.3 says: a port that another viewer just left still
   * gets its media for a moment.
   */
  foreign = 0;
  readonly #peer: PeerTransport;
  readonly #candidate: IceCandidate;
  #udp: Socket | undefined;
  #tcp: TcpSocket | undefined;
  #pending = Buffer.alloc(0);
  #dtls: DtlsConnection | undefined;
  #srtcp: SrtcpSession | undefined;
  #srtp: SrtpSession | undefined;
  profile: SrtpProfile | undefined;
  /** Its first DTLS flight. */
  hello: readonly Uint8Array[] = [];
  readonly #waiting: { readonly isDone: () => unknown; readonly done: () => void }[] = [];

  readonly #isCmOnly: boolean;

  private constructor(peer: PeerTransport, candidate: IceCandidate, isCmOnly: boolean) {
    this.#isCmOnly = isCmOnly;
    this.#peer = peer;
    this.#candidate = candidate;
  }

  static async open(peer: PeerTransport, candidate: IceCandidate, isCmOnly = false): Promise<TransportViewer> {
    const viewer = new TransportViewer(peer, candidate, isCmOnly);
    await viewer.reopen();
    return viewer;
  }

  /** A new socket, as after a change of network; keys stay. */
  async reopen(): Promise<void> {
    const { address, port, protocol } = this.#candidate;
    this.#closeSocket();
    if (protocol === "tcp") {
      const socket = connect(port, address);
      this.#tcp = socket;
      this.#pending = Buffer.alloc(0);
      socket.on("data", (bytes) => this.#receiveStream(bytes));
      socket.on("error", () => {});
      socket.on("close", () => (this.isEnded = true));
      await once(socket, "connect");
      return;
    }
    const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
    this.#udp = socket;
    socket.on("message", (bytes) => this.#receive(bytes));
    socket.bind(0, address.includes(":") ? "::1" : "127.0.0.1");
    await once(socket, "listening");
  }

  send(bytes: Uint8Array): void {
    this.bytesOut += bytes.length;
    if (this.keepsSent) this.sent.push(Uint8Array.from(bytes));
    if (this.#tcp) {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(bytes.length);
      this.#tcp.write(Buffer.concat([length, bytes]));
    } else this.#udp?.send(bytes, this.#candidate.port, this.#candidate.address);
  }

  /** Sends raw bytes on the TCP connection. */
  write(bytes: Uint8Array): void {
    this.#tcp?.write(bytes);
  }

  check(options: CheckOptions = {}): void {
    this.send(makeCheck(this.#peer, options));
  }

  /** Checks until answered, then shakes hands. */
  async connect(withinMs?: number): Promise<void> {
    this.check();
    await this.until(() => this.received.some((bytes) => bytes[0] === 1), withinMs);
    this.startDtls();
    await this.until(() => this.#dtls?.status === "connected" && this.#peer.state === "connected", withinMs);
    const exported = this.#dtls!.exportSrtp()!;
    this.useKeys(exported.profile, exported.material);
  }

  /** The first flight, which is also returned. */
  startDtls(): Uint8Array[] {
    this.#dtls = (this.#isCmOnly ? cmClient : client).open();
    const flight = this.#dtls.start();
    for (const datagram of flight) this.send(datagram);
    this.hello = flight;
    return flight;
  }

  useKeys(profile: SrtpProfile, material: Uint8Array): void {
    if (material.length !== exportLengthOf(profile)) throw new Error("wrong length of keys");
    const salt = saltLengthOf(profile);
    const cut = (at: number, length: number): Buffer => Buffer.from(material.subarray(at, at + length));
    const keys = {
      localMasterKey: cut(0, 16),
      localMasterSalt: cut(32, salt),
      remoteMasterKey: cut(16, 16),
      remoteMasterSalt: cut(32 + salt, salt),
    };
    this.profile = profile;
    this.#srtp = new SrtpSession({ profile, keys });
    this.#srtcp = new SrtcpSession({ profile, keys });
  }

  /** The UDP port this viewer receives at. */
  get localPort(): number {
    return this.#udp!.address().port;
  }

  openRtp(packet: Buffer): Buffer {
    return this.#srtp!.decrypt(packet);
  }

  sealRtcp(packet: Uint8Array): Buffer {
    return this.#srtcp!.encrypt(Buffer.from(packet));
  }

  sendRtcp(packet: Uint8Array): void {
    this.send(this.sealRtcp(packet));
  }

  /** DTLS close_notify. */
  shutdown(): void {
    for (const datagram of this.#dtls?.shutdown() ?? []) this.send(datagram);
  }

  get dtlsStatus(): string | undefined {
    return this.#dtls?.status;
  }

  /** Resolves when `isDone`, which is asked after every datagram and now and then. */
  async until(isDone: () => unknown, withinMs = 5000): Promise<void> {
    const deadlineMs = performance.now() + withinMs;
    while (!isDone()) {
      // As every client: what was lost is sent again.
      if (!this.isSilent) for (const datagram of this.#dtls?.timeout() ?? []) this.send(datagram);
      if (performance.now() > deadlineMs) throw new Error(`not within ${withinMs} ms: ${isDone.toString()}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 20);
        this.#waiting.push({ isDone, done: () => (clearTimeout(timer), resolve()) });
      });
    }
  }

  close(): void {
    this.#dtls?.free();
    this.#closeSocket();
  }

  #closeSocket(): void {
    this.#udp?.close();
    this.#tcp?.destroy();
    this.#udp = undefined;
    this.#tcp = undefined;
  }

  #receiveStream(bytes: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, bytes]);
    while (this.#pending.length >= 2) {
      const end = 2 + this.#pending.readUInt16BE();
      if (this.#pending.length < end) return;
      this.#receive(this.#pending.subarray(2, end));
      this.#pending = this.#pending.subarray(end);
    }
  }

  #receive(bytes: Buffer): void {
    this.bytesIn += bytes.length;
    this.received.push(bytes);
    const first = bytes[0]!;
    if (first < 4 && parseStun(bytes).type === stunTypes.bindingRequest && !this.isSilent) {
      this.send(serializeStun(stunTypes.bindingSuccess, parseStun(bytes).transactionId, [], viewerCredentials.icePwd));
    } else if (first >= 20 && first <= 63) {
      if (!this.isSilent) for (const answer of this.#dtls?.receive(bytes) ?? []) this.send(answer);
    } else if (first >= 128 && this.#srtp && this.#srtcp) {
      const isRtcp = bytes[1]! >= 192 && bytes[1]! <= 223;
      try {
        if (isRtcp) this.rtcp.push(this.#srtcp.decrypt(bytes));
        else this.rtp.push(this.#srtp.decrypt(bytes));
      } catch {
        this.foreign++;
      }
    }
    for (const { isDone, done } of this.#waiting.splice(0)) if (isDone()) done();
  }
}

/** The STUN messages among what came. */
export function stunTypesOf(viewer: TransportViewer): number[] {
  return viewer.received.filter((bytes) => bytes[0]! < 4).map((bytes) => parseStun(bytes).type);
}
