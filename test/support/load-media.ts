// The media of a viewer that costs little, so that hundreds fit beside the node they measure: ICE checks, DTLS, receiver reports,
// consent; RTP headers are read in the clear and only a sample of the payloads is decrypted, by an independent SRTP.
import { createHash, randomBytes } from "node:crypto";
import { SrtcpSession, SrtpSession } from "werift";
import { serializeRtcp, type ReportBlock } from "../../media-node/rtp/rtcp.ts";
import { loadNativeLibrary } from "../../media-node/webrtc/native/library.ts";
import { OpensslDtls, type DtlsConnection } from "../../media-node/webrtc/native/openssl-dtls.ts";
import { newCertificate } from "../../media-node/webrtc/transport/certificate.ts";
import { saltLengthOf } from "../../media-node/webrtc/transport/srtp-keys.ts";
import { parseStun, serializeStun, stunAttributes, stunTypes } from "../../media-node/webrtc/transport/stun.ts";
import { ViewerSocket } from "./viewer-socket.ts";
import { beginsKeyframe } from "./whep-viewer.ts";

const library = loadNativeLibrary();
const certificate = newCertificate(Date.now());
let client: OpensslDtls | undefined;

/** What a viewer's SDP says of itself. */
export const ownDescription = {
  ufrag: "load",
  pwd: "the password of a load viewer",
  fingerprint: certificate.fingerprint,
} as const;
const icePwd = ownDescription.pwd;
const consentMs = 2_500;
const reportMs = 1_000;
const repeatCheckMs = 50;

export interface LoadMediaOptions {
  /** Every so many packets one is decrypted and compared. */
  readonly checkEvery: number;
  /** Whether a payload, by its SHA-1 in base64, is one of the stream's. */
  readonly isGenuine: (digest: string) => boolean;
  /** The last packet of a picture came: its RTP timestamp, and when the kernel had it. */
  readonly onPicture?: (timestamp: number, atMs: number, viewer: LoadMedia) => void;
  /** A consent check was answered, so long after it was sent: as long as the edge's loop was busy. */
  readonly onAnswer?: (waitMs: number) => void;
}

/** One received RTP stream, from the headers alone. */
interface Received {
  first: number;
  /** Extended by the number of wraps. */
  highest: number;
  packets: number;
}

/** Where the node's media port is, and what it is told at it. */
export interface MediaPlace {
  readonly ufrag: string;
  readonly pwd: string;
  readonly address: string;
  readonly port: number;
}

export class LoadMedia {
  bytes = 0;
  packets = 0;
  /** Decrypted and compared. */
  checked = 0;
  /** Decrypted to something the stream does not hold, or not at all. */
  forged = 0;
  /** From the click until the first picture was complete. */
  firstPictureMs = Number.NaN;
  isOver = false;
  /** Longest time without a whole picture that can be decoded; after a move none can before a key frame. */
  longestGapMs = 0;
  /** When media last came from the node it is with, by `performance.now()`. */
  lastMs: number | undefined;
  /** How it came to another node, in words, by `performance.now()`: when each step was done. */
  readonly steps: (readonly [step: string, atMs: number])[] = [];
  #nowMs = 0;
  readonly #options: LoadMediaOptions;
  readonly #clickedMs = performance.now();
  readonly #streams = new Map<number, Received>();
  readonly #opening: Buffer[] = [];
  readonly #socket = new ViewerSocket((...datagrams) => this.#take(...datagrams));
  #dtls: DtlsConnection | undefined;
  #srtp!: SrtpSession;
  #srtcp!: SrtcpSession;
  #isConnected = false;
  #videoSsrc = 0;
  #hasKeyframe = false;
  #lastPictureMs: number | undefined;
  #remote: MediaPlace = { ufrag: "", pwd: "", address: "", port: 0 };
  #nextCheckMs = 0;
  #checkedMs = Number.NaN;
  #nextReportMs = 0;
  #untilChecked = 0;
  readonly #pictured = Promise.withResolvers<void>();
  readonly #onEnd: () => void;

  /** @param onEnd the node said goodbye (DTLS `close_notify`) */
  constructor(options: LoadMediaOptions, onEnd: () => void) {
    client ??= new OpensslDtls(library, library.ssl!, "client", certificate);
    this.#options = options;
    this.#onEnd = onEnd;
    this.#untilChecked = 1 + Math.floor(Math.random() * options.checkEvery);
  }

  /** Takes what came and sends what is due: checks, consent, reports. Call it every millisecond or two. */
  tick(nowMs: number): void {
    if (this.isOver || this.#remote.port === 0) return;
    this.#nowMs = nowMs;
    this.#socket.drain(nowMs);
    if (nowMs >= this.#nextCheckMs) {
      this.#nextCheckMs = nowMs + (this.#isConnected ? consentMs * (0.8 + Math.random() * 0.4) : repeatCheckMs);
      this.#check();
    }
    if (!this.#isConnected) {
      for (const datagram of this.#dtls?.timeout() ?? []) this.#send(datagram);
    } else if (nowMs >= this.#nextReportMs) {
      this.#nextReportMs = nowMs + reportMs * (0.5 + Math.random());
      this.#report();
    }
  }

  /** Of the node's media socket that serves it. */
  get remotePort(): number {
    return this.#remote.port;
  }

  /** RTP streams that it hears: picture, sound, repetitions. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Packets that the sequence numbers say are missing. */
  get lost(): number {
    let lost = 0;
    for (const { first, highest, packets } of this.#streams.values()) lost += highest - first + 1 - packets;
    return lost;
  }

  /** Resolves when the first picture is complete and genuine. */
  get pictured(): Promise<void> {
    return this.#pictured.promise;
  }

  /** Goes to a media port, the first or another one. */
  goTo(place: MediaPlace, videoSsrc: number): void {
    this.#remote = place;
    this.#videoSsrc = videoSsrc;
    this.tick(performance.now());
  }

  /** Forgets the node it was with. */
  leave(): void {
    this.lastMs = undefined;
    this.steps.length = 0;
    this.steps.push(["told to stop", performance.now()]);
    this.#hasKeyframe = false;
    this.#dtls?.free();
    this.#dtls = undefined;
    this.#isConnected = false;
    // A new connection's checks begin at once; the last one's were due every few seconds.
    this.#nextCheckMs = 0;
    this.#remote = { ...this.#remote, port: 0 };
    this.#streams.clear();
    this.#opening.length = 0;
  }

  /** Goes without a word. */
  close(): void {
    this.isOver = true;
    this.#dtls?.free();
    this.#dtls = undefined;
    this.#socket.close();
  }

  #send(bytes: Uint8Array): void {
    this.#socket.send(bytes, this.#remote.port, this.#remote.address);
  }

  #check(): void {
    const { ufrag, pwd } = this.#remote;
    const check = serializeStun(
      stunTypes.bindingRequest,
      randomBytes(12).toString("hex"),
      [
        [stunAttributes.username, Buffer.from(`${ufrag}:${ownDescription.ufrag}`)],
        [stunAttributes.iceControlling, Buffer.alloc(8, 1)],
        [stunAttributes.priority, Buffer.from("6e0001ff", "hex")],
        [stunAttributes.useCandidate, new Uint8Array()],
      ],
      pwd,
    );
    this.#checkedMs = performance.now();
    this.#send(check);
  }

  #take(bytes: Buffer, start: number, end: number, segment: number, atMs: number): void {
    const first = bytes[start]!;
    if (first >= 128 && this.#isConnected) {
      for (let at = start; at < end; at += segment) this.#receiveMedia(bytes, at, Math.min(at + segment, end), atMs);
    } else if (first < 4) this.#receiveStun(bytes.subarray(start, end), atMs);
    else if (first >= 20 && first <= 63) this.#receiveDtls(bytes.subarray(start, end));
  }

  #receiveStun(bytes: Buffer, atMs: number): void {
    const message = parseStun(bytes);
    const isAnswer = message.type === stunTypes.bindingSuccess;
    if (isAnswer && this.#isConnected) this.#options.onAnswer?.(atMs - this.#checkedMs);
    if (message.type === stunTypes.bindingRequest) {
      this.#send(serializeStun(stunTypes.bindingSuccess, message.transactionId, [], icePwd));
    } else if (message.type === stunTypes.bindingSuccess && !this.#dtls) {
      this.steps.push(["checked", performance.now()]);
      this.#dtls = client!.open();
      for (const datagram of this.#dtls.start()) this.#send(datagram);
    }
  }

  #receiveDtls(bytes: Buffer): void {
    if (!this.#dtls) return;
    for (const answer of this.#dtls.receive(bytes)) this.#send(answer);
    const { status } = this.#dtls;
    if (this.#isConnected && status !== "connected") this.#onEnd();
    if (this.#isConnected || status !== "connected") return;
    const { profile, material } = this.#dtls.exportSrtp()!;
    const salt = saltLengthOf(profile);
    const cut = (at: number, length: number): Buffer => Buffer.from(material.subarray(at, at + length));
    const keys = {
      localMasterKey: cut(0, 16),
      localMasterSalt: cut(32, salt),
      remoteMasterKey: cut(16, 16),
      remoteMasterSalt: cut(32 + salt, salt),
    };
    this.#srtp = new SrtpSession({ profile, keys });
    this.#srtcp = new SrtcpSession({ profile, keys });
    this.#isConnected = true;
    this.steps.push(["connected", performance.now()]);
    this.#nextReportMs = performance.now() + 100 * Math.random();
  }

  /** Only what headers say, unless its turn has come to be looked at. */
  #receiveMedia(bytes: Buffer, at: number, end: number, atMs: number): void {
    const second = bytes[at + 1]!;
    if (second >= 192 && second <= 223) return;
    this.lastMs = this.#nowMs;
    this.packets++;
    this.bytes += end - at;
    const ssrc = wordAt(bytes, at + 8);
    this.#count(ssrc, bytes[at + 2]! * 256 + bytes[at + 3]!);
    if (ssrc !== this.#videoSsrc) return;
    if (Number.isNaN(this.firstPictureMs)) this.#open(bytes.subarray(at, end));
    else if (--this.#untilChecked <= 0) {
      this.#untilChecked = this.#options.checkEvery;
      this.#verify(bytes.subarray(at, end));
    }
    if (!this.#hasKeyframe) {
      this.#hasKeyframe = beginsKeyframe((this.#verify(bytes.subarray(at, end))?.[0] ?? 0) & 31);
      if (this.#hasKeyframe) this.steps.push(["key frame", atMs]);
    }
    if (second & 0x80) this.#onPicture(wordAt(bytes, at + 4), atMs);
  }

  #onPicture(timestamp: number, atMs: number): void {
    this.#options.onPicture?.(timestamp, atMs, this);
    if (!this.#hasKeyframe) return;
    if (this.#lastPictureMs !== undefined) this.longestGapMs = Math.max(this.longestGapMs, atMs - this.#lastPictureMs);
    this.#lastPictureMs = atMs;
  }

  #count(ssrc: number, sequence: number): void {
    const known = this.#streams.get(ssrc);
    if (!known) {
      this.#streams.set(ssrc, { first: sequence, highest: sequence, packets: 1 });
      return;
    }
    const ahead = ((sequence - known.highest) << 16) >> 16;
    if (ahead > 0) known.highest += ahead;
    known.packets++;
  }

  /** Everything of the first picture is decrypted; it must begin with parameter sets. */
  #open(bytes: Buffer): void {
    this.#opening.push(Buffer.from(bytes));
    if (!(bytes[1]! & 0x80)) return;
    const packets = this.#opening.splice(0).sort((a, b) => ((a.readUInt16BE(2) - b.readUInt16BE(2)) << 16) >> 16);
    const isWhole = packets.every(
      (packet, i) => (packet.readUInt16BE(2) - packets[0]!.readUInt16BE(2) - i) % 65_536 === 0,
    );
    const payloads = packets.map((packet) => this.#verify(packet));
    const type = (payloads[0]?.[0] ?? 0) & 31;
    if (!isWhole || (type !== 7 && type !== 24)) return;
    this.firstPictureMs = performance.now() - this.#clickedMs;
    this.#pictured.resolve();
  }

  #verify(bytes: Buffer): Buffer | undefined {
    this.checked++;
    try {
      const payload = this.#srtp.decrypt(Buffer.from(bytes)).subarray(12);
      if (!this.#options.isGenuine(createHash("sha1").update(payload).digest("base64"))) this.forged++;
      return payload;
    } catch {
      this.forged++;
      return undefined;
    }
  }

  #report(): void {
    const reports = [...this.#streams].map(([ssrc, { highest }]): ReportBlock => ({
      ssrc,
      fractionLost: 0,
      cumulativeLost: 0,
      highestSequence: highest >>> 0,
      jitter: 10,
      lastSenderReport: 0,
      delaySinceLastSenderReport: 0,
    }));
    const packet = serializeRtcp([
      { type: "receiver-report", ssrc: 1, reports },
      { type: "remb", senderSsrc: 1, bitrate: 5_000_000, ssrcs: [this.#videoSsrc] },
    ]);
    this.#send(this.#srtcp.encrypt(Buffer.from(packet)));
  }
}

const wordAt = (bytes: Buffer, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
