import { messageOf } from "../../flow/errors.ts";
import type { Logger } from "../../flow/logger.ts";
import type { Clock, Timer } from "../../time/clock.ts";
import type { IceCredentials, MediaPort, PeerEvents, PeerTransport } from "../media-port.ts";
import { hostCandidates } from "./candidates.ts";
import type { DtlsEngine } from "./dtls-engine.ts";
import { HandshakeQueue } from "./handshake-queue.ts";
import { localUfragOf, parseCheck } from "./ice-lite.ts";
import type { Path } from "./path.ts";
import { Peer, type PeerHost } from "./peer.ts";
import type { PortCounters } from "./port-counters.ts";
import type { SrtpCrypto } from "./srtp-context.ts";
import { stunTypes, type StunMessage } from "./stun.ts";
import type { TcpConnection, TcpFront } from "./tcp-front.ts";
import type { UdpFront } from "./udp-front.ts";

export interface FrontDoorOptions {
  readonly dtls: DtlsEngine;
  readonly srtp: SrtpCrypto;
  readonly counters: PortCounters;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly randomBytes: (length: number) => Uint8Array;
  readonly consentMs?: number | undefined;
  /** As {@link MediaPortOptions.catchUp}. */
  readonly catchUp?: (() => void) | undefined;
}

/** RFC 8445 §5.3: at least 24 and 128 bits of randomness, from the alphabet of base64. */
export function newIceCredentials(randomBytes: (length: number) => Uint8Array): IceCredentials {
  const text = (bytes: number): string => Buffer.from(randomBytes(bytes)).toString("base64url").replace(/[-_]/g, "A");
  return { iceUfrag: text(9), icePwd: text(24) };
}

/** While viewers connect. */
const connectingTickMs = 100;
const steadyTickMs = 1000;
/** Handshake datagrams of one viewer, so that none fills the queue of all. */
const maxWaitingOfOne = 16;

interface Route {
  readonly peer: Peer;
  readonly path: Path;
}

/** RFC 7675 §5.1: consent expires 30 s after the last authentic packet. */
const defaultConsentMs = 30_000;

/**
 * Who gets which datagram. What names no viewer, or comes from an address no viewer has proven, leaves no trace but a
 * counter: no state, no answer.
 */
export class FrontDoor implements PeerHost {
  readonly dtls: DtlsEngine;
  readonly srtp: SrtpCrypto;
  readonly counters: PortCounters;
  readonly consentMs: number;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #randomBytes: (length: number) => Uint8Array;
  readonly #catchUp: (() => void) | undefined;
  readonly #peers = new Map<string, Peer>();
  readonly #connecting = new Set<Peer>();
  readonly #routes = new Map<string, Route>();
  readonly #handshakes: HandshakeQueue<Route>;
  #timer: Timer | undefined;
  #steadyAtMs = 0;

  constructor(options: FrontDoorOptions) {
    this.dtls = options.dtls;
    this.srtp = options.srtp;
    this.counters = options.counters;
    this.consentMs = options.consentMs ?? defaultConsentMs;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#randomBytes = options.randomBytes;
    this.#catchUp = options.catchUp;
    this.#handshakes = new HandshakeQueue(this.#clock, (datagram, { peer, path }) => {
      peer.waitingDatagrams--;
      this.#guarded(peer, () => peer.receiveDtls(datagram, path));
    });
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  randomHex(bytes: number): string {
    return Buffer.from(this.#randomBytes(bytes)).toString("hex");
  }

  open(events: PeerEvents, credentials = newIceCredentials(this.#randomBytes)): PeerTransport {
    const peer = new Peer(this, events, credentials.iceUfrag, credentials.icePwd);
    this.#peers.set(peer.iceUfrag, peer);
    this.#connecting.add(peer);
    this.#schedule();
    return peer;
  }

  adopt(peer: Peer, path: Path): void {
    this.#routes.set(path.key, { peer, path });
  }

  forget(peer: Peer, path: Path | undefined): void {
    if (path) {
      if (this.#routes.get(path.key)?.peer === peer) this.#routes.delete(path.key);
      return;
    }
    for (const known of peer.paths()) this.forget(peer, known);
    this.#peers.delete(peer.iceUfrag);
    this.#connecting.delete(peer);
    if (this.#peers.size === 0) this.#cancelTimer();
  }

  guard(peer: Peer, call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.counters.callbackErrors++;
      this.#logger.error("webrtc-session-threw", { cause: messageOf(thrown) });
      peer.close("internal-error");
    }
  }

  readonly receiveUdp = (datagram: Uint8Array, address: string, port: number, front: UdpFront): void => {
    const key = `${address}|${port}`;
    this.receive(datagram, this.#routes.get(key), () => front.path(address, port, key));
  };

  readonly receiveTcp = (packet: Uint8Array, connection: TcpConnection): void => {
    this.receive(packet, this.#routes.get(connection.key), () => connection);
  };

  readonly lostTcp = (connection: TcpConnection): void => {
    this.#routes.get(connection.key)?.peer.losePath(connection);
  };

  /** RFC 7983 §7, with what came from `route` or, if unknown yet, from what `newPath` makes. Never throws. */
  receive(datagram: Uint8Array, route: Route | undefined, newPath: () => Path): void {
    this.counters.datagramsIn++;
    this.counters.bytesIn += datagram.length;
    this.#guarded(route?.peer, () => this.#dispatch(datagram, route, newPath));
  }

  #dispatch(datagram: Uint8Array, route: Route | undefined, newPath: () => Path): void {
    const first = datagram[0] ?? 255;
    if (first <= 3) this.#receiveStun(datagram, route, newPath);
    else if (first >= 20 && first <= 63) {
      if (!route) this.counters.droppedUnknownAddress++;
      else if (route.peer.state === "connected") route.peer.receiveDtls(datagram, route.path);
      else if (route.peer.waitingDatagrams < maxWaitingOfOne && this.#handshakes.push(datagram, route)) {
        route.peer.waitingDatagrams++;
      }
    } else if (first >= 128 && first <= 191) {
      if (route) route.peer.receiveRtcp(datagram, route.path);
      else this.counters.droppedUnknownAddress++;
    } else this.counters.droppedUnknownFormat++;
  }

  /** Our own mistakes end one viewer, loudly; never the process. */
  #guarded(peer: Peer | undefined, call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.counters.internalErrors++;
      this.#logger.error("webrtc-datagram-threw", { cause: messageOf(thrown) });
      peer?.close("internal-error");
    }
  }

  #receiveStun(datagram: Uint8Array, route: Route | undefined, newPath: () => Path): void {
    let message: StunMessage;
    try {
      message = parseCheck(datagram);
    } catch {
      this.counters.stunMalformed++;
      return;
    }
    if (message.type === stunTypes.bindingSuccess) {
      route?.peer.receiveProof(datagram, message, route.path);
      return;
    }
    const ufrag = localUfragOf(message);
    if (ufrag !== undefined && !this.#peers.has(ufrag)) this.#catchUp?.();
    const peer = ufrag === undefined ? undefined : this.#peers.get(ufrag);
    if (!peer) this.counters.stunUnknownUfrag++;
    else peer.receiveCheck(datagram, message, route?.peer === peer ? route.path : newPath());
  }

  asMediaPort(given: {
    readonly fronts: readonly UdpFront[];
    readonly tcpFronts: readonly TcpFront[];
    readonly advertised: readonly string[];
    readonly tier: string;
    readonly fingerprint: string;
  }): MediaPort {
    const { fronts, tcpFronts, advertised, tier, fingerprint } = given;
    const udp = (address: string): number | undefined =>
      fronts.find((front) => front.address.includes(":") === address.includes(":"))?.port;
    const tcp = (address: string): number | undefined =>
      tcpFronts.find((front) => front.isV4 === !address.includes(":"))?.port;
    const { counters } = this;
    const gauges = (): Record<string, number> => ({
      peers: this.#peers.size,
      paths: this.#routes.size,
      handshakesWaiting: this.#handshakes.length,
      droppedHandshakes: this.#handshakes.dropped,
    });
    let closing: Promise<void> | undefined;
    return {
      candidates: hostCandidates(advertised, { udp, tcp }),
      fingerprint,
      tier,
      open: (events, credentials) => this.open(events, credentials),
      flush: () => {
        for (const front of fronts) front.outlet.flush();
        for (const front of tcpFronts) front.flush();
      },
      get stats() {
        return { ...counters.snapshot(), ...gauges() };
      },
      close: () => (closing ??= this.close([...fronts, ...tcpFronts])),
    };
  }

  async close(fronts: readonly { close(): Promise<void> }[]): Promise<void> {
    for (const peer of this.#peers.values()) peer.close("shutdown");
    this.#cancelTimer();
    this.#handshakes.close();
    for (const front of fronts) await front.close();
    this.dtls.close();
    this.srtp.close();
  }

  #schedule(): void {
    this.#timer ??= this.#clock.after(connectingTickMs, () => this.#tick());
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #tick(): void {
    this.#timer = undefined;
    const nowMs = this.nowMs();
    const isSteadyTurn = nowMs - this.#steadyAtMs >= steadyTickMs;
    if (isSteadyTurn) this.#steadyAtMs = nowMs;
    for (const peer of isSteadyTurn ? this.#peers.values() : this.#connecting) {
      peer.tick(nowMs);
      if (peer.state === "connected") this.#connecting.delete(peer);
    }
    if (this.#peers.size === 0) return;
    this.#timer = this.#clock.after(this.#connecting.size > 0 ? connectingTickMs : steadyTickMs, () => this.#tick());
  }
}
