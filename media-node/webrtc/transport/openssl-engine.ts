import type { NativeLibrary } from "../native/library.ts";
import { OpensslDtls, opensslNames, type DtlsConnection } from "../native/openssl-dtls.ts";
import { matchesFingerprint, type NodeCertificate } from "./certificate.ts";
import { DtlsAlerts } from "./dtls-alerts.ts";
import type { DtlsEngine, DtlsEvents, DtlsSession } from "./dtls-engine.ts";
import { dtlsContent, dtlsHandshake, parseDtlsRecords, type DtlsRecord } from "./dtls-records.ts";
import { bestFirst, masterKeysOfServer, srtpProfiles, type SrtpProfile } from "./srtp-keys.ts";

/** OpenSSL does not answer a repeated ClientHello, and its timer waits a second; so the flight is sent again from here. */
const minResendMs = 40;
const maxResends = 8;
/** Fresh starts after a handshake was spoiled by somebody else's datagram. */
const maxRestarts = 4;
/** A ClientHello with another random is believed after the first has led nowhere for so long, several round trips. */
const minRestartMs = 400;

/**
 * DTLS by the OpenSSL inside this process.
 * @throws {Error} when the self-test fails; `warn` what it says and use the fallback
 */
export function opensslEngine(
  library: NativeLibrary,
  certificate: NodeCertificate,
  preferred: SrtpProfile = srtpProfiles.aes128Gcm,
): DtlsEngine {
  if (!library.ssl) throw new Error(`OpenSSL's functions are not exported: ${library.missing.join(", ")}`);
  const names = bestFirst(preferred).map((profile) => opensslNames[profile]);
  const server = new OpensslDtls(library, library.ssl, "server", certificate, names.join(":"));
  try {
    selfTest(library, server, certificate);
  } catch (thrown) {
    server.close();
    throw thrown;
  }
  return {
    name: "openssl",
    open: (events, fingerprints) => new OpensslSession(server, events, fingerprints),
    close: () => server.close(),
  };
}

/** One handshake in memory, and both ends must export the same keys. About 2 ms. */
function selfTest(library: NativeLibrary, server: OpensslDtls, certificate: NodeCertificate): void {
  const version = library.ssl!.OpenSSL_version_num();
  if (version < 0x3000_0000 || version >= 0x4000_0000) throw new Error(`OpenSSL ${version.toString(16)} is not 3.x`);
  const client = new OpensslDtls(library, library.ssl!, "client", certificate);
  const [here, there] = [server.open(), client.open()];
  try {
    let flight = there.start();
    for (let i = 0; i < 10 && flight.length > 0; i++) {
      const answers = flight.flatMap((datagram) => here.receive(datagram));
      flight = answers.flatMap((datagram) => there.receive(datagram));
    }
    const [ours, theirs] = [here.exportSrtp(), there.exportSrtp()];
    const isEqual = ours && theirs && Buffer.compare(ours.material, theirs.material) === 0;
    const seen = here.peerCertificate();
    if (!isEqual || !seen || !matchesFingerprint(seen, [certificate.fingerprint])) {
      throw new Error(`the DTLS self-test failed: ${here.failure || there.failure || here.status}`);
    }
  } finally {
    here.free();
    there.free();
    client.close();
  }
}

class OpensslSession implements DtlsSession {
  readonly #server: OpensslDtls;
  readonly #events: DtlsEvents;
  readonly #fingerprints: readonly string[];
  #connection: DtlsConnection;
  /** In place of the connection, once settled. */
  #alerts: DtlsAlerts | undefined;
  /** What answered the ClientHello, kept until the viewer goes on. */
  #flight: readonly Uint8Array[] = [];
  #hello = "";
  #isPastHello = false;
  #startedAtMs = 0;
  #sentAtMs = 0;
  #resends = 0;
  #restarts = 0;
  #isConnected = false;
  #isClosed = false;

  constructor(server: OpensslDtls, events: DtlsEvents, fingerprints: readonly string[]) {
    this.#server = server;
    this.#events = events;
    this.#fingerprints = fingerprints;
    this.#connection = server.open();
  }

  receive(datagram: Uint8Array, nowMs: number): void {
    if (this.#isClosed) return;
    if (this.#alerts) {
      this.#receiveSettled(datagram, this.#alerts);
      return;
    }
    const records = parseDtlsRecords(datagram).filter((record) => this.#isAcceptable(record));
    if (records.length === 0) return;
    if (!this.#isConnected && this.#answersHello(records, nowMs)) return;
    const bytes = records.length === 1 ? records[0]!.bytes : Buffer.concat(records.map((record) => record.bytes));
    const output = this.#connection.receive(bytes);
    if (!this.#isConnected && output.length > 0) {
      if (this.#flight.length === 0) this.#startedAtMs = nowMs;
      this.#flight = output;
      this.#sentAtMs = nowMs;
    }
    this.#send(output);
    this.#afterOperation();
  }

  tick(nowMs: number): void {
    if (this.#isClosed || this.#isConnected) return;
    const output = this.#connection.timeout();
    if (output.length > 0) this.#sentAtMs = nowMs;
    this.#send(output);
    this.#afterOperation();
  }

  settle(): void {
    if (this.#isClosed || !this.#isConnected || this.#alerts) return;
    const secrets = this.#connection.secrets();
    if (!secrets) return;
    this.#alerts = new DtlsAlerts(secrets);
    secrets.master.fill(0);
    this.#connection.free();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const output = this.#alerts ? [this.#alerts.closeNotify()] : this.#connection.shutdown();
    this.#connection.free();
    this.#send(output);
  }

  #receiveSettled(datagram: Uint8Array, alerts: DtlsAlerts): void {
    if (parseDtlsRecords(datagram).some((record) => alerts.isEnd(record))) this.#end("close-notify", "");
  }

  /**
   * Before the keys are there, anybody who can spoof the viewer's address could end the handshake with a plain alert;
   * afterwards, with anything plain. A viewer in earnest is silent instead, and the deadline ends it.
   */
  #isAcceptable(record: DtlsRecord): boolean {
    return this.#isConnected ? record.epoch > 0 : !(record.epoch === 0 && record.type === dtlsContent.alert);
  }

  /** Whether `records` are a ClientHello that is settled here: a repeated one, or one that comes too late. */
  #answersHello(records: readonly DtlsRecord[], nowMs: number): boolean {
    if (records[0]!.handshakeType !== dtlsHandshake.clientHello) {
      this.#isPastHello ||= records[0]!.handshakeType !== -1;
      return false;
    }
    const hello = helloOf(records);
    if (this.#flight.length === 0) {
      this.#hello = hello || this.#hello;
      return false;
    }
    if (this.#isPastHello) return true;
    const isRepeated = hello === "" || hello === this.#hello;
    if (!isRepeated && nowMs - this.#startedAtMs >= minRestartMs && this.#restart()) {
      this.#hello = hello;
      return false;
    }
    if (isRepeated) this.#resend(nowMs);
    return true;
  }

  #resend(nowMs: number): void {
    if (nowMs - this.#sentAtMs < minResendMs || this.#resends >= maxResends) return;
    this.#resends++;
    this.#sentAtMs = nowMs;
    this.#send(this.#flight);
  }

  #restart(): boolean {
    if (this.#restarts >= maxRestarts) return false;
    this.#restarts++;
    this.#connection.free();
    this.#connection = this.#server.open();
    this.#flight = [];
    this.#hello = "";
    this.#isPastHello = false;
    return true;
  }

  #send(datagrams: readonly Uint8Array[]): void {
    for (const datagram of datagrams) this.#events.send(datagram);
  }

  /** Runs when OpenSSL has returned and its output is out, so callbacks may call back into this session. */
  #afterOperation(): void {
    if (this.#isClosed) return;
    const { status, failure } = this.#connection;
    if (status === "connected" && !this.#isConnected) this.#finish();
    else if (status === "closed") this.#end("close-notify", "");
    else if (status === "failed" && (this.#isConnected || !this.#restart())) this.#end("dtls-failed", failure);
  }

  /** RFC 8827 §6.5: no keys, no media, before the certificate is the one that was signalled. */
  #finish(): void {
    const certificate = this.#connection.peerCertificate();
    if (!certificate || !matchesFingerprint(certificate, this.#fingerprints)) {
      this.#send(this.#connection.shutdown());
      this.#end("dtls-fingerprint", "the certificate is not the one in the SDP");
      return;
    }
    const srtp = this.#connection.exportSrtp();
    if (!srtp) {
      this.#send(this.#connection.shutdown());
      this.#end("dtls-no-srtp", "no SRTP profile agreed");
      return;
    }
    this.#isConnected = true;
    this.#flight = [];
    const keys = masterKeysOfServer(srtp.profile, srtp.material);
    srtp.material.fill(0);
    this.#events.connected(keys);
  }

  #end(reason: "close-notify" | "dtls-failed" | "dtls-fingerprint" | "dtls-no-srtp", detail: string): void {
    this.#isClosed = true;
    this.#connection.free();
    this.#events.ended(reason, detail);
  }
}

/** The client random of a ClientHello whose first fragment starts the datagram; empty when it is not there. */
function helloOf(records: readonly DtlsRecord[]): string {
  const { bytes, handshakeType } = records[0]!;
  // Record header 13, handshake header 12 (fragment offset at 19), version 2, random 32.
  const isFirstFragment = bytes[19] === 0 && bytes[20] === 0 && bytes[21] === 0;
  if (handshakeType !== dtlsHandshake.clientHello || bytes.length < 59 || !isFirstFragment) return "";
  return Buffer.from(bytes.subarray(27, 59)).toString("hex");
}
