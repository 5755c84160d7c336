import type { RtpBatch, RtpRoute, PeerEvents, PeerState, PeerTransport, RemotePeer } from "../media-port.ts";
import type { DtlsEngine, DtlsSession } from "./dtls-engine.ts";
import { answerCheck, makeProof, type RemoteCredentials } from "./ice-lite.ts";
import { SendBudget, type Path } from "./path.ts";
import type { PortCounters } from "./port-counters.ts";
import { srtpSlackBytes, type SrtpContext, type SrtpCrypto } from "./srtp-context.ts";
import { deriveSessionKeys, type SrtpMasterKeys } from "./srtp-keys.ts";
import { appendExtension, rewriteRtpHeader, rtpHeaderLength } from "./srtp-wire.ts";
import { isIntegrityTrue, type StunMessage } from "./stun.ts";

/** From {@link MediaPort.open} to media. A browser needs well below a second after it has our SDP. */
export const connectDeadlineMs = 15_000;
/** A viewer tries a handful of address pairs; each costs a map entry. */
const maxPaths = 8;
/** ClientHello datagrams kept until the viewer's SDP is here: one hello is two datagrams at most. */
const maxEarlyDatagrams = 4;
const maxEarlyBytes = 1500;
/** RFC 8839 §5.4 allows 256 for each; browsers have 4 and 24. */
const maxCredentialLength = 512;
/** RTCP longer than this is not sent: it must fit any path. */
const maxRtcpOutBytes = 1200;

/** What a peer needs of its port. */
export interface PeerHost {
  readonly dtls: DtlsEngine;
  readonly srtp: SrtpCrypto;
  readonly counters: PortCounters;
  /** A peer is gone when nothing authentic came from it for this long. */
  readonly consentMs: number;
  nowMs(): number;
  randomHex(bytes: number): string;
  /** `path` leads to `peer` from now on. */
  adopt(peer: Peer, path: Path): void;
  /** Forgets one path, or the peer with all of them. */
  forget(peer: Peer, path: Path | undefined): void;
  /** Runs a callback of the layer above; its throw ends this peer only. */
  guard(peer: Peer, call: () => void): void;
}

interface KnownPath {
  readonly path: Path;
  readonly budget: SendBudget;
  lastCheckMs: number;
  /** Of our unanswered check; empty when there is none. */
  proofId: string;
}

/** One viewer: ICE-lite agent, DTLS session and SRTP contexts; no socket of its own. */
export class Peer implements PeerTransport {
  readonly iceUfrag: string;
  readonly icePwd: string;
  /** Its datagrams in the queue of handshakes. */
  waitingDatagrams = 0;
  readonly #host: PeerHost;
  readonly #events: PeerEvents;
  readonly #openedAtMs: number;
  readonly #paths = new Map<string, KnownPath>();
  #active: KnownPath | undefined;
  #destination = -1;
  #isNominated = false;
  #fingerprints: readonly string[] | undefined;
  #remote: RemoteCredentials | undefined;
  #early: Uint8Array[] = [];
  #dtls: DtlsSession | undefined;
  /** Where handshake datagrams go: the address the last one came from. */
  #dtlsPath: KnownPath | undefined;
  /** Where those went before the viewer had keys, forgotten paths too. */
  readonly #flightPaths = new Set<KnownPath>();
  #isSettled = false;
  #srtp: SrtpContext | undefined;
  #state: PeerState = "new";
  #authenticAtMs: number;

  constructor(host: PeerHost, events: PeerEvents, iceUfrag: string, icePwd: string) {
    this.#host = host;
    this.#events = events;
    this.iceUfrag = iceUfrag;
    this.icePwd = icePwd;
    this.#openedAtMs = host.nowMs();
    this.#authenticAtMs = this.#openedAtMs;
  }

  get state(): PeerState {
    return this.#state;
  }

  get backlogBytes(): number {
    return this.#active?.path.backlogBytes ?? 0;
  }

  setRemote(remote: RemotePeer): void {
    if (this.#state !== "new" || this.#fingerprints) return;
    this.#fingerprints = [...remote.fingerprints];
    const { iceUfrag: ufrag, icePwd: pwd } = remote;
    if (ufrag && pwd && ufrag.length + pwd.length <= maxCredentialLength) this.#remote = { ufrag, pwd };
    for (const datagram of this.#early.splice(0)) this.#handshake(datagram);
  }

  queueRtp(batch: RtpBatch, from: number, to: number, route: RtpRoute): void {
    const srtp = this.#srtp;
    const active = this.#active;
    if (!srtp || !active || this.#destination < 0) return;
    const { outlet } = active.path;
    const { slab, offsets } = batch;
    const { ssrc, payloadType, packetIndex, extension } = route;
    const extensionBytes = extension === undefined ? 0 : extension.length;
    const last = Math.min(to, batch.count);
    for (let i = from; i < last; i++) {
      const begin = offsets[i]!;
      const end = offsets[i + 1]!;
      const headerLength = rtpHeaderLength(slab, begin, end);
      if (headerLength === 0 || end - begin > maxRtpBytes) {
        this.#host.counters.droppedMalformedOut++;
        continue;
      }
      const index = packetIndex + (i - from);
      const at = outlet.reserve(end - begin + extensionBytes + srtpSlackBytes);
      rewriteRtpHeader(slab, begin, headerLength, outlet.slab.view, at, payloadType, index, ssrc);
      if (extension !== undefined) appendExtension(extension, outlet.slab.bytes, at, headerLength);
      const payloadAt = begin + headerLength;
      const sentHeader = headerLength + extensionBytes;
      const length = srtp.protectRtp(slab, payloadAt, end - payloadAt, outlet.slab, at, sentHeader, ssrc, index);
      outlet.commit(at, length, this.#destination);
    }
  }

  queueRtcp(packet: Uint8Array): void {
    const srtp = this.#srtp;
    const active = this.#active;
    if (!srtp || !active || this.#destination < 0 || packet.length < 8 || packet.length > maxRtcpOutBytes) return;
    const { outlet } = active.path;
    const at = outlet.reserve(packet.length + srtpSlackBytes);
    outlet.commit(at, srtp.protectRtcp(packet, outlet.slab, at), this.#destination);
  }

  close(reason: string): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#dtls?.close();
    this.#dtls = undefined;
    this.#moveDestination(undefined);
    this.#srtp?.close();
    this.#srtp = undefined;
    this.#early = [];
    this.#host.forget(this, undefined);
    for (const { path } of this.#paths.values()) path.release();
    this.#paths.clear();
    this.#active = undefined;
    this.#host.counters.closed(reason);
    this.#host.guard(this, () => this.#events.onState("closed", reason));
  }

  /** Every address pair it has proven. */
  *paths(): Iterable<Path> {
    for (const { path } of this.#paths.values()) yield path;
  }

  /** A STUN message that names this peer, from `path`, which may be new. `isKnown` tells whether {@link adopt} ran for it. */
  receiveCheck(bytes: Uint8Array, message: StunMessage, path: Path): void {
    if (this.#state === "closed") return;
    const answer = answerCheck(bytes, message, this.icePwd, path);
    if (!answer) {
      this.#host.counters.stunUnauthentic++;
      return;
    }
    // A reply is never longer than its request: even who has the password cannot use this port against a third party.
    if ("conflict" in answer) {
      if (answer.conflict.length <= bytes.length) path.send(answer.conflict);
      return;
    }
    const nowMs = this.#host.nowMs();
    const known = this.#know(path, nowMs);
    known.budget.received(bytes.length);
    this.#authenticAtMs = nowMs;
    if (answer.reply.length <= bytes.length && known.budget.take(answer.reply.length)) known.path.send(answer.reply);
    const isPlaced = this.#active && !(this.#srtp && this.#destination < 0);
    if (!answer.isNominating && isPlaced) return;
    if (this.#mayActivate(known)) this.#activate(known, answer.isNominating);
    else this.#askForProof(known);
  }

  /** The answer to a check of ours: the address receives what is sent to it. */
  receiveProof(bytes: Uint8Array, message: StunMessage, path: Path): void {
    const known = this.#paths.get(path.key);
    if (!known || !this.#remote || known.proofId === "" || known.proofId !== message.transactionId) return;
    if (!isIntegrityTrue(bytes, message, this.#remote.pwd)) {
      this.#host.counters.stunUnauthentic++;
      return;
    }
    known.proofId = "";
    known.budget.isProven = true;
    this.#authenticAtMs = this.#host.nowMs();
    this.#activate(known, true);
  }

  /** A DTLS datagram from a path of this peer. */
  receiveDtls(datagram: Uint8Array, path: Path): void {
    const known = this.#paths.get(path.key);
    if (!known || this.#state === "closed") return;
    known.budget.received(datagram.length);
    this.#dtlsPath = known;
    if (this.#fingerprints) this.#handshake(datagram);
    else if (this.#early.length < maxEarlyDatagrams && datagram.length <= maxEarlyBytes) {
      this.#early.push(Uint8Array.prototype.slice.call(datagram));
    }
  }

  /** An SRTCP packet from a path of this peer. */
  receiveRtcp(packet: Uint8Array, path: Path): void {
    const known = this.#paths.get(path.key);
    if (!known || !this.#srtp) return;
    const plain = this.#srtp.unprotectRtcp(packet);
    if (!plain) {
      this.#host.counters.rtcpUnauthentic++;
      return;
    }
    this.#authenticAtMs = this.#host.nowMs();
    if (!this.#isSettled) {
      this.#isSettled = true;
      this.#dtls?.settle();
    }
    this.#host.guard(this, () => this.#events.onRtcp(plain));
  }

  /** The TCP connection under `path` is gone. */
  losePath(path: Path): void {
    const known = this.#paths.get(path.key);
    if (!known) return;
    this.#forgetPath(known);
    if (known !== this.#active) return;
    // Nowhere that has not answered, even now: the source of a check is easily invented.
    const newest = this.#newest((other) => this.#mayActivate(other));
    if (newest) return this.#activate(newest, false);
    this.#moveDestination(undefined);
    const other = this.#newest(() => true);
    if (other && this.#remote) this.#askForProof(other);
    else if (this.#state === "connected") this.close("tcp-closed");
  }

  /** Deadlines and resends. Called every 100 ms while connecting, every second afterwards. */
  tick(nowMs: number): void {
    if (this.#state === "closed") return;
    if (this.#state === "new") {
      this.#dtls?.tick(nowMs);
      if (nowMs - this.#openedAtMs >= connectDeadlineMs) this.close("connect-timeout");
    } else if (nowMs - this.#authenticAtMs >= this.#host.consentMs) this.close("consent-expired");
  }

  #know(path: Path, nowMs: number): KnownPath {
    const known = this.#paths.get(path.key);
    if (known) {
      known.lastCheckMs = nowMs;
      return known;
    }
    if (this.#paths.size >= maxPaths) {
      const oldest = [...this.#paths.values()]
        .filter((other) => other !== this.#active)
        .reduce((a, b) => (a.lastCheckMs <= b.lastCheckMs ? a : b));
      this.#forgetPath(oldest);
    }
    const added = { path, budget: new SendBudget(), lastCheckMs: nowMs, proofId: "" };
    this.#paths.set(path.key, added);
    this.#host.adopt(this, path);
    path.adopt();
    return added;
  }

  #forgetPath(known: KnownPath): void {
    this.#paths.delete(known.path.key);
    if (this.#dtlsPath === known) this.#dtlsPath = undefined;
    this.#host.forget(this, known.path);
    known.path.release();
  }

  /**
   * Media goes where a handshake or an answer came back from. A viewer that gave no credentials cannot answer: it stays where it
   * shook hands.
   */
  #mayActivate(known: KnownPath): boolean {
    return !this.#srtp || receives(known);
  }

  #newest(isWanted: (known: KnownPath) => boolean): KnownPath | undefined {
    const wanted = [...this.#paths.values()].filter(isWanted);
    return wanted.sort((a, b) => b.lastCheckMs - a.lastCheckMs)[0];
  }

  #askForProof(known: KnownPath): void {
    if (!this.#remote) return;
    if (known.proofId === "") known.proofId = this.#host.randomHex(12);
    const check = makeProof(this.iceUfrag, this.#remote, known.proofId);
    if (known.budget.take(check.length)) known.path.send(check);
  }

  /** The last nominated pair carries media; before any nomination, the first that was checked. */
  #activate(known: KnownPath, isNominating: boolean): void {
    const isThere = known === this.#active && this.#destination >= 0;
    if (isThere || (this.#isNominated && !isNominating && this.#active)) return;
    this.#isNominated ||= isNominating;
    this.#active = known;
    if (this.#srtp) this.#moveDestination(known);
  }

  #moveDestination(known: KnownPath | undefined): void {
    if (this.#destination >= 0) this.#destinationPath?.closeDestination(this.#destination);
    this.#destinationPath = known?.path;
    this.#destination = known ? known.path.openDestination() : -1;
  }
  #destinationPath: Path | undefined;

  #handshake(datagram: Uint8Array): void {
    this.#dtls ??= this.#host.dtls.open(
      {
        send: (bytes) => this.#sendDtls(bytes),
        connected: (keys) => this.#connect(keys),
        ended: (reason, detail) => {
          this.#dtls = undefined;
          this.#host.counters.lastDtlsFailure = detail;
          this.close(reason);
        },
      },
      this.#fingerprints!,
    );
    this.#dtls.receive(datagram, this.#host.nowMs());
  }

  #sendDtls(bytes: Uint8Array): void {
    const known = this.#dtlsPath ?? this.#active;
    if (!known) return;
    if (this.#state === "new") this.#flightPaths.add(known);
    if (known.budget.take(bytes.length)) known.path.send(bytes);
    else this.#host.counters.droppedUnproven++;
  }

  /**
   * The viewer's last flight answers what we sent, which proves the path that took it: where all of it took one path, for the
   * source of that flight can be invented like any other.
   */
  #connect(keys: SrtpMasterKeys): void {
    if (this.#state !== "new" || !this.#active) return;
    if (this.#flightPaths.size === 1) for (const { budget } of this.#flightPaths) budget.isProven = true;
    this.#flightPaths.clear();
    // Nominated or not, another address than the one that shook hands has yet to answer.
    if (!receives(this.#active)) this.#active = this.#newest(receives) ?? this.#active;
    this.#srtp = this.#host.srtp.open(deriveSessionKeys(keys));
    for (const { key } of [keys.local, keys.remote]) key.fill(0);
    this.#authenticAtMs = this.#host.nowMs();
    this.#state = "connected";
    if (receives(this.#active)) this.#moveDestination(this.#active);
    else this.#askForProof(this.#active);
    this.#host.counters.connected++;
    this.#host.guard(this, () => this.#events.onState("connected", ""));
  }
}

/** Whether what is sent there is known to arrive; a TCP connection is proven by its own handshake. */
const receives = ({ path, budget }: KnownPath): boolean => budget.isProven || path.protocol === "tcp";

/** Packets above this do not fit the path with their tag; the packetizer makes them of 1,200 bytes. */
const maxRtpBytes = 1472;
