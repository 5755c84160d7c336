import { ProtocolError } from "../../flow/errors.ts";
import type { NodeCertificate } from "../transport/certificate.ts";
import type { DtlsSecrets } from "../transport/dtls-alerts.ts";
import { packRecords } from "../transport/dtls-records.ts";
import { exportLengthOf, srtpProfiles, type SrtpProfile } from "../transport/srtp-keys.ts";
import type { NativeFunction, NativeLibrary, Ssl } from "./library.ts";
import type { NativeSlab } from "./slab.ts";

// Numbers of OpenSSL 3 macros (openssl/ssl.h, openssl/bio.h, openssl/evp.h).
const SSL_CTRL_MODE = 33;
const SSL_CTRL_SET_SESS_CACHE_MODE = 44;
const SSL_CTRL_SET_MAX_CERT_LIST = 51;
const DTLS_CTRL_HANDLE_TIMEOUT = 74;
const SSL_CTRL_SET_GROUPS_LIST = 92;
const DTLS_CTRL_SET_LINK_MTU = 120;
const SSL_CTRL_SET_MIN_PROTO_VERSION = 123;
const SSL_CTRL_SET_MAX_PROTO_VERSION = 124;
const SSL_MODE_RELEASE_BUFFERS = 0x10;
const BIO_CTRL_RESET = 1;
const EVP_PKEY_EC = 408;
const DTLS1_2_VERSION = 0xfefd;
const SSL_VERIFY_PEER = 1;
const SSL_VERIFY_FAIL_IF_NO_PEER_CERT = 2;
const SSL_ERROR_WANT_READ = 2;
const SSL_ERROR_WANT_WRITE = 3;
const SSL_ERROR_ZERO_RETURN = 6;
const NO_QUERY_MTU = 2 ** 12;
const NO_TICKET = 2 ** 14;
const NO_COMPRESSION = 2 ** 17;
const CIPHER_SERVER_PREFERENCE = 2 ** 22;
const NO_RENEGOTIATION = 2 ** 30;

/** Largest datagram sent; what every path on the internet carries beside IP, UDP and a tunnel. */
export const dtlsMtu = 1200;
/** A viewer's certificate chain; browsers send one certificate of 300 bytes. */
const maxCertificateBytes = 16_384;
const masterBytes = 48;
const randomBytes = 32;
/** What OpenSSL calls the profiles. */
export const opensslNames = {
  [srtpProfiles.aes128Gcm]: "SRTP_AEAD_AES_128_GCM",
  [srtpProfiles.aes128CmSha1]: "SRTP_AES128_CM_SHA1_80",
} as const;
const bothProfiles = Object.values(opensslNames).reverse().join(":");
const exporterLabel = "EXTRACTOR-dtls_srtp";

// Scratch layout.
const inAt = 0;
const inBytes = 16_384;
const outAt = inAt + inBytes;
const outBytes = 65_536;
const textAt = outAt + outBytes;
const textBytes = 4096;
const scratchBytes = textAt + textBytes;

export type DtlsRole = "server" | "client";

/**
 * The DTLS 1.2 endpoint of OpenSSL with no socket: datagrams in, datagrams out. One context a thread and role; every
 * call is synchronous and drains its output before it returns, so all connections share one pair of memory BIOs.
 *
 * The chain of a viewer's certificate is not verified (RFC 8827 §6.5 binds it by fingerprint, which the caller compares);
 * that it proved possession of the key (CertificateVerify) and Finished are verified by OpenSSL.
 */
export class OpensslDtls {
  readonly ssl: Ssl;
  readonly scratch: NativeSlab;
  readonly role: DtlsRole;
  readonly readBio: number;
  readonly writeBio: number;
  #context: number;
  #connections = 0;

  /**
   * @param srtpProfiles OpenSSL's names, best first
   * @throws {Error} when OpenSSL refuses a setting: use the fallback then
   */
  constructor(
    library: NativeLibrary,
    ssl: Ssl,
    role: DtlsRole,
    certificate: NodeCertificate,
    srtpProfiles = bothProfiles,
  ) {
    this.ssl = ssl;
    this.role = role;
    this.scratch = library.newSlab(scratchBytes);
    ssl.ERR_clear_error();
    this.#context = ssl.SSL_CTX_new(role === "server" ? ssl.DTLS_server_method() : ssl.DTLS_client_method());
    this.readBio = ssl.BIO_new(ssl.BIO_s_mem());
    this.writeBio = ssl.BIO_new(ssl.BIO_s_mem());
    try {
      this.#configure(library, certificate, srtpProfiles);
    } catch (thrown) {
      this.close();
      throw thrown;
    }
  }

  /** Connections opened and not yet freed. */
  get connections(): number {
    return this.#connections;
  }

  open(): DtlsConnection {
    const { ssl } = this;
    ssl.ERR_clear_error();
    const handle = ssl.SSL_new(this.#context);
    if (handle === 0) throw new ProtocolError("DTLS_MEMORY", "OpenSSL gives no connection");
    ssl.BIO_up_ref(this.readBio);
    ssl.BIO_up_ref(this.writeBio);
    ssl.SSL_set_bio(handle, this.readBio, this.writeBio);
    ssl.SSL_ctrl(handle, DTLS_CTRL_SET_LINK_MTU, dtlsMtu, 0);
    if (this.role === "server") ssl.SSL_set_accept_state(handle);
    else ssl.SSL_set_connect_state(handle);
    this.#connections++;
    return new DtlsConnection(this, handle, () => this.#connections--);
  }

  /** Free every connection first. */
  close(): void {
    if (this.#context === 0) return;
    this.ssl.SSL_CTX_free(this.#context);
    this.ssl.BIO_free(this.readBio);
    this.ssl.BIO_free(this.writeBio);
    this.scratch.release();
    this.#context = 0;
  }

  /** NUL-terminated `text` in scratch memory, valid until the next call. */
  text(text: string): number {
    this.scratch.bytes.set(Buffer.from(`${text}\0`), textAt);
    return this.scratch.address + textAt;
  }

  /** The oldest entry of OpenSSL's error queue, and an empty queue: it is shared with node:crypto. */
  takeError(): string {
    const code = this.ssl.ERR_get_error();
    if (code === 0) return "no reason given";
    this.ssl.ERR_error_string_n(code, this.scratch.address + textAt, 256);
    this.ssl.ERR_clear_error();
    const end = this.scratch.bytes.indexOf(0, textAt);
    return Buffer.from(this.scratch.bytes.subarray(textAt, end)).toString("latin1");
  }

  #configure(library: NativeLibrary, certificate: NodeCertificate, srtpProfiles: string): void {
    const { ssl, scratch } = this;
    const context = this.#context;
    const must = (isDone: boolean, what: string): void => {
      if (!isDone) throw new Error(`OpenSSL refuses ${what}: ${this.takeError()}`);
    };
    must(context !== 0, "a DTLS context");
    const ctrl = (command: number, value: number, pointer = 0): number =>
      ssl.SSL_CTX_ctrl(context, command, value, pointer);
    must(ctrl(SSL_CTRL_SET_MIN_PROTO_VERSION, DTLS1_2_VERSION) === 1, "DTLS 1.2");
    must(ctrl(SSL_CTRL_SET_MAX_PROTO_VERSION, DTLS1_2_VERSION) === 1, "DTLS 1.2");
    ssl.SSL_CTX_set_options(
      context,
      NO_QUERY_MTU + NO_TICKET + NO_COMPRESSION + CIPHER_SERVER_PREFERENCE + NO_RENEGOTIATION,
    );
    ctrl(SSL_CTRL_SET_SESS_CACHE_MODE, 0);
    ctrl(SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS);
    ctrl(SSL_CTRL_SET_MAX_CERT_LIST, maxCertificateBytes);
    // Mandatory in RFC 8827 §6.5, so one suite is enough.
    must(ssl.SSL_CTX_set_cipher_list(context, this.text("ECDHE-ECDSA-AES128-GCM-SHA256")) === 1, "the cipher suite");
    must(ctrl(SSL_CTRL_SET_GROUPS_LIST, 0, this.text("X25519:P-256")) === 1, "the groups");
    // Zero is success here.
    must(ssl.SSL_CTX_set_tlsext_use_srtp(context, this.text(srtpProfiles)) === 0, "use_srtp");
    ssl.SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, 0);
    // Any function that returns 1 accepts the chain; this one takes no arguments and is always there.
    must(ssl.RAND_status() === 1, "its random numbers");
    ssl.SSL_CTX_set_cert_verify_callback(context, library.symbolAddress("RAND_status"), 0);
    const put = (bytes: Uint8Array): number => {
      scratch.bytes.set(bytes, inAt);
      return scratch.address + inAt;
    };
    const { der, privateKeyDer } = certificate;
    must(ssl.SSL_CTX_use_certificate_ASN1(context, der.length, put(der)) === 1, "the certificate");
    const key = put(privateKeyDer);
    must(ssl.SSL_CTX_use_PrivateKey_ASN1(EVP_PKEY_EC, context, key, privateKeyDer.length) === 1, "the private key");
    scratch.bytes.fill(0, inAt, inAt + privateKeyDer.length);
    must(ssl.SSL_CTX_check_private_key(context) === 1, "the key pair");
  }

  /** Gives a datagram to the next operation; replaces what an earlier one left. */
  feed(datagram: Uint8Array): void {
    const { ssl, scratch, readBio } = this;
    ssl.BIO_ctrl(readBio, BIO_CTRL_RESET, 0, 0);
    scratch.bytes.set(datagram, inAt);
    ssl.BIO_write(readBio, scratch.address + inAt, datagram.length);
  }

  /** Everything written by the last operation, as datagrams of at most {@link dtlsMtu} bytes. Owned by the caller. */
  drain(): Uint8Array[] {
    const { ssl, scratch, writeBio } = this;
    const length = ssl.BIO_read(writeBio, scratch.address + outAt, outBytes);
    ssl.BIO_ctrl(writeBio, BIO_CTRL_RESET, 0, 0);
    if (length <= 0) return [];
    return packRecords(scratch.bytes.slice(outAt, outAt + length), dtlsMtu);
  }
}

export type DtlsStatus = "handshake" | "connected" | "closed" | "failed";

/** One connection. After {@link free} every method does nothing: a stale call must not reach freed memory. */
export class DtlsConnection {
  readonly #dtls: OpensslDtls;
  readonly #onFree: () => void;
  #handle: number;
  #status: DtlsStatus = "handshake";
  #failure = "";

  constructor(dtls: OpensslDtls, handle: number, onFree: () => void) {
    this.#dtls = dtls;
    this.#handle = handle;
    this.#onFree = onFree;
  }

  get status(): DtlsStatus {
    return this.#status;
  }

  /** OpenSSL's words, when {@link status} is `failed`. */
  get failure(): string {
    return this.#failure;
  }

  /** Client only: the first flight. */
  start(): Uint8Array[] {
    return this.#operate(() => this.#dtls.ssl.BIO_ctrl(this.#dtls.readBio, BIO_CTRL_RESET, 0, 0));
  }

  /** One datagram in, the answering datagrams out. Application data is discarded. */
  receive(datagram: Uint8Array): Uint8Array[] {
    if (datagram.length === 0 || datagram.length > inBytes) return [];
    return this.#operate(() => this.#dtls.feed(datagram));
  }

  /** Call now and then while in `handshake`: resends a flight when OpenSSL's timer (1 s, doubling) has run out. */
  timeout(): Uint8Array[] {
    if (this.#handle === 0 || this.#status !== "handshake") return [];
    const { ssl } = this.#dtls;
    ssl.ERR_clear_error();
    if (ssl.SSL_ctrl(this.#handle, DTLS_CTRL_HANDLE_TIMEOUT, 0, 0) < 0) {
      this.#status = "failed";
      this.#failure = this.#dtls.takeError();
    }
    return this.#dtls.drain();
  }

  /** The close_notify alert. */
  shutdown(): Uint8Array[] {
    if (this.#handle === 0 || this.#status !== "connected") return [];
    this.#status = "closed";
    const { ssl } = this.#dtls;
    ssl.ERR_clear_error();
    ssl.SSL_shutdown(this.#handle);
    ssl.ERR_clear_error();
    return this.#dtls.drain();
  }

  /** DER of the certificate whose key signed the handshake; only once connected. */
  peerCertificate(): Uint8Array | undefined {
    if (this.#handle === 0 || this.#status !== "connected") return undefined;
    const { ssl, scratch } = this.#dtls;
    const certificate = ssl.SSL_get1_peer_certificate(this.#handle);
    if (certificate === 0) return undefined;
    try {
      const length = ssl.i2d_X509(certificate, 0);
      if (length <= 0 || length > inBytes) return undefined;
      scratch.setPointer(textAt, scratch.address + inAt);
      ssl.i2d_X509(certificate, scratch.address + textAt);
      return scratch.bytes.slice(inAt, inAt + length);
    } finally {
      ssl.X509_free(certificate);
    }
  }

  /** What `use_srtp` agreed on and the exporter's bytes (RFC 5764 §4.2); `undefined` without agreement. Wipe them after use. */
  exportSrtp(): { readonly profile: SrtpProfile; readonly material: Uint8Array } | undefined {
    if (this.#handle === 0 || this.#status !== "connected") return undefined;
    const { ssl, scratch } = this.#dtls;
    const selected = ssl.SSL_get_selected_srtp_profile(this.#handle);
    if (selected === 0) return undefined;
    // struct { const char *name; unsigned long id }: through a BIO, as native memory is not ours to read.
    ssl.BIO_write(this.#dtls.writeBio, selected, 16);
    ssl.BIO_read(this.#dtls.writeBio, scratch.address + outAt, 16);
    ssl.BIO_ctrl(this.#dtls.writeBio, BIO_CTRL_RESET, 0, 0);
    const id = scratch.u32[(outAt + 8) >> 2];
    const profile = Object.values(srtpProfiles).find((known) => known === id);
    if (profile === undefined) return undefined;
    const length = exportLengthOf(profile);
    const label = this.#dtls.text(exporterLabel);
    const out = scratch.address + outAt;
    if (ssl.SSL_export_keying_material(this.#handle, out, length, label, exporterLabel.length, 0, 0, 0) !== 1) {
      this.#dtls.takeError();
      return undefined;
    }
    const material = scratch.bytes.slice(outAt, outAt + length);
    scratch.bytes.fill(0, outAt, outAt + length);
    return { profile, material };
  }

  /** What {@link DtlsAlerts} needs to go on without this connection. */
  secrets(): DtlsSecrets | undefined {
    if (this.#handle === 0 || this.#status !== "connected") return undefined;
    const { ssl, scratch } = this.#dtls;
    const take = (get: NativeFunction, from: number, length: number): Uint8Array | undefined => {
      const got = get(from, scratch.address + outAt, length);
      const bytes = scratch.bytes.slice(outAt, outAt + length);
      scratch.bytes.fill(0, outAt, outAt + length);
      return got === length ? bytes : undefined;
    };
    const master = take(ssl.SSL_SESSION_get_master_key, ssl.SSL_get_session(this.#handle), masterBytes);
    const clientRandom = take(ssl.SSL_get_client_random, this.#handle, randomBytes);
    const serverRandom = take(ssl.SSL_get_server_random, this.#handle, randomBytes);
    return master && clientRandom && serverRandom && { master, clientRandom, serverRandom };
  }

  free(): void {
    if (this.#handle === 0) return;
    this.#dtls.ssl.SSL_free(this.#handle);
    this.#handle = 0;
    if (this.#status !== "failed") this.#status = "closed";
    this.#onFree();
  }

  #operate(feed: () => void): Uint8Array[] {
    if (this.#handle === 0 || this.#status === "failed" || this.#status === "closed") return [];
    const { ssl, scratch } = this.#dtls;
    ssl.ERR_clear_error();
    feed();
    let result =
      this.#status === "handshake"
        ? ssl.SSL_do_handshake(this.#handle)
        : ssl.SSL_read(this.#handle, scratch.address + outAt, outBytes);
    // Records of one datagram may hold several messages; application data has no meaning here and is thrown away.
    for (let i = 0; this.#status === "connected" && result > 0 && i < 64; i++) {
      result = ssl.SSL_read(this.#handle, scratch.address + outAt, outBytes);
    }
    if (result <= 0) this.#note(ssl.SSL_get_error(this.#handle, result));
    else if (this.#status === "handshake") this.#status = "connected";
    return this.#dtls.drain();
  }

  #note(error: number): void {
    if (error === SSL_ERROR_WANT_READ || error === SSL_ERROR_WANT_WRITE) return;
    if (error === SSL_ERROR_ZERO_RETURN) this.#status = "closed";
    else {
      this.#status = "failed";
      this.#failure = this.#dtls.takeError();
    }
  }
}
