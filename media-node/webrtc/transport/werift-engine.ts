import { hash, timingSafeEqual, verify, X509Certificate } from "node:crypto";
import { DtlsServer, HashAlgorithm, SignatureAlgorithm } from "werift";
import { messageOf } from "../../flow/errors.ts";
import { matchesFingerprint, type NodeCertificate } from "./certificate.ts";
import { DtlsAlerts, prfSha256 } from "./dtls-alerts.ts";
import type { DtlsEnd, DtlsEngine, DtlsEvents, DtlsSession } from "./dtls-engine.ts";
import { dtlsContent, dtlsHandshake, parseDtlsRecords } from "./dtls-records.ts";
import {
  bestFirst,
  exportLengthOf,
  saltLengthOf,
  srtpProfiles,
  type SrtpMasterKeys,
  type SrtpProfile,
} from "./srtp-keys.ts";

/** werift keeps what it is sent until a handshake ends; a viewer's two flights have 3 KB. */
const maxHandshakeBytes = 64 << 10;
const finished = 20;
const verifyDataBytes = 12;
/** TLS 1.2 SignatureAndHashAlgorithm that a WebRTC certificate may sign with (RFC 8827 §6.5): ECDSA, RSA. */
const signatureAlgorithms: readonly number[] = [0x0403, 0x0401];

/**
 * DTLS by werift, for runtimes without OpenSSL's symbols. It verifies neither CertificateVerify nor Finished, obeys plain
 * records after the handshake and sends no close_notify: all of that is done here, before any key leaves.
 */
export function weriftEngine(certificate: NodeCertificate, preferred: SrtpProfile): DtlsEngine {
  const key = certificate.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  const cert = new X509Certificate(certificate.der).toString();
  return {
    name: "werift",
    open: (events, fingerprints) =>
      new WeriftSession(events, fingerprints, { cert, key, srtpProfiles: bestFirst(preferred) }),
    close() {},
  };
}

/** What a server of werift's says of itself. */
interface Identity {
  readonly cert: string;
  readonly key: string;
  readonly srtpProfiles: SrtpProfile[];
}

const ignoreData = (_bytes: Buffer): void => {};

class WeriftSession implements DtlsSession {
  readonly #events: DtlsEvents;
  readonly #fingerprints: readonly string[];
  readonly #transport;
  #server: DtlsServer | undefined;
  #alerts: DtlsAlerts | undefined;
  #bytesIn = 0;
  #isClosed = false;

  constructor(events: DtlsEvents, fingerprints: readonly string[], identity: Identity) {
    this.#events = events;
    this.#fingerprints = fingerprints;
    this.#transport = {
      type: "hearth",
      address: { address: "", family: "", port: 0 },
      closed: false,
      onData: ignoreData,
      send: async (bytes: Buffer): Promise<void> => {
        if (!this.#isClosed && !this.#alerts) this.#events.send(Uint8Array.prototype.slice.call(bytes));
      },
      close: async (): Promise<void> => {},
    };
    const server = new DtlsServer({
      transport: this.#transport,
      ...identity,
      signatureHash: { hash: HashAlgorithm.sha256_4, signature: SignatureAlgorithm.ecdsa_3 },
      certificateRequest: true,
      extendedMasterSecret: true,
    });
    this.#server = server;
    server.onConnect.once(() => this.#finish(server));
    server.onError.once((error) => this.#end("dtls-failed", messageOf(error)));
  }

  receive(datagram: Uint8Array): void {
    if (this.#isClosed) return;
    const records = parseDtlsRecords(datagram);
    const alerts = this.#alerts;
    if (alerts) {
      if (records.some((record) => alerts.isEnd(record))) this.#end("close-notify", "");
      else if (records.some(({ type, epoch }) => type === dtlsContent.handshake && epoch > 0)) this.#repeatLastFlight();
      return;
    }
    this.#bytesIn += datagram.length;
    if (this.#bytesIn > maxHandshakeBytes) this.#end("dtls-failed", "too many bytes in a handshake");
    for (const { type, bytes } of records) {
      if (type !== dtlsContent.alert && !this.#isClosed) this.#transport.onData(Buffer.from(bytes));
    }
  }

  /** werift has its own timers. */
  tick(): void {}

  settle(): void {
    this.#forgetServer();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#forgetServer();
    if (this.#alerts) this.#events.send(this.#alerts.closeNotify());
  }

  /** Our Finished was lost. */
  #repeatLastFlight(): void {
    for (const bytes of this.#server?.dtls.lastMessage ?? []) this.#events.send(Uint8Array.prototype.slice.call(bytes));
  }

  /** RFC 5246 §7.4.8, §7.4.9 and RFC 8827 §6.5: who sent this holds the key of the certificate that was signalled. */
  #finish(server: DtlsServer): void {
    if (this.#isClosed || this.#alerts) return;
    const certificate = server.cipher.remoteCertificate;
    const { srtpProfile } = server.srtp;
    const profile = Object.values(srtpProfiles).find((known) => known === srtpProfile);
    try {
      if (!certificate || !hasProvenItself(server, certificate))
        this.#end("dtls-failed", "the handshake is not authentic");
      else if (!matchesFingerprint(certificate, this.#fingerprints)) this.#end("dtls-fingerprint", "");
      else if (profile === undefined) this.#end("dtls-no-srtp", "");
      else this.#connect(server, profile);
    } catch (thrown) {
      this.#end("dtls-failed", messageOf(thrown));
    }
  }

  #connect(server: DtlsServer, profile: SrtpMasterKeys["profile"]): void {
    const salt = saltLengthOf(profile);
    const keys = server.extractSessionKeys(exportLengthOf(profile) / 2 - salt, salt);
    this.#alerts = new DtlsAlerts({
      master: server.cipher.masterSecret,
      clientRandom: server.cipher.remoteRandom.serialize(),
      serverRandom: server.cipher.localRandom.serialize(),
    });
    this.#events.connected({
      profile,
      local: { key: keys.localKey, salt: keys.localSalt },
      remote: { key: keys.remoteKey, salt: keys.remoteSalt },
    });
  }

  #end(reason: DtlsEnd, detail: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#forgetServer();
    this.#events.ended(reason, detail);
  }

  #forgetServer(): void {
    const server = this.#server;
    if (!server) return;
    // Its retransmission ends when it believes to be past the last flight.
    server.dtls.flight = 6;
    server.onConnect.allUnsubscribe();
    server.onError.allUnsubscribe();
    this.#transport.onData = ignoreData;
    this.#server = undefined;
  }
}

function hasProvenItself(server: DtlsServer, certificate: Uint8Array): boolean {
  const messages = server.dtls.sortedHandshakeCache;
  const verifyAt = messages.findIndex(({ msg_type }) => msg_type === dtlsHandshake.certificateVerify);
  const finishedAt = messages.findIndex(({ msg_type }) => msg_type === finished);
  if (verifyAt < 0 || finishedAt !== verifyAt + 1) return false;
  const transcript = (end: number): Buffer =>
    Buffer.concat(messages.slice(0, end).map((message) => message.serialize()));
  const signed = messages[verifyAt]!.fragment;
  const length = signed.length < 4 ? -1 : signed.readUInt16BE(2);
  if (signed.length !== 4 + length || !signatureAlgorithms.includes(signed.readUInt16BE(0))) return false;
  const { publicKey } = new X509Certificate(certificate);
  const isRsa = publicKey.asymmetricKeyType === "rsa";
  if (isRsa !== (signed.readUInt16BE(0) === 0x0401)) return false;
  if (!verify("sha256", transcript(verifyAt), publicKey, signed.subarray(4))) return false;
  const digest = hash("sha256", transcript(finishedAt), "buffer");
  const seed = Buffer.concat([Buffer.from("client finished"), digest]);
  const expected = prfSha256(server.cipher.masterSecret, seed, verifyDataBytes);
  const stated = messages[finishedAt]!.fragment;
  return stated.length === verifyDataBytes && timingSafeEqual(stated, expected);
}
