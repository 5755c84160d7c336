import { createRequire } from "node:module";
import { endianness } from "node:os";
import { messageOf } from "../../flow/errors.ts";
import { NativeSlab } from "./slab.ts";

/**
 * Every native function of the project, by name: `[result, …arguments]`. Pointers and lengths are `p`; they are
 * addresses inside a {@link NativeSlab} or handles that a native function returned, never JavaScript objects.
 * Macros of OpenSSL (`SSL_set_mtu`, `DTLSv1_get_timeout`, …) are `…_ctrl` calls; their numbers stand where they are used.
 */
const p = "intptr_t";
const evpTable = {
  EVP_CIPHER_CTX_new: [p],
  EVP_CIPHER_CTX_free: ["void", p],
  EVP_CIPHER_CTX_ctrl: ["int", p, "int", "int", p],
  EVP_aes_128_gcm: [p],
  EVP_aes_128_ctr: [p],
  EVP_EncryptInit_ex: ["int", p, p, p, p, p],
  EVP_EncryptUpdate: ["int", p, p, p, p, "int"],
  // Every packet's: a result that nobody reads would cost an object each time.
  EVP_Cipher: ["void", p, p, p, "uint"],
  EVP_CIPHER_CTX_get_params: ["void", p, p],
  EVP_EncryptFinal_ex: ["int", p, p, p],
  EVP_DecryptInit_ex: ["int", p, p, p, p, p],
  EVP_DecryptUpdate: ["int", p, p, p, p, "int"],
  EVP_DecryptFinal_ex: ["int", p, p, p],
  SHA1_Init: ["int", p],
  SHA1_Update: ["int", p, p, p],
  SHA1_Transform: ["void", p, p],
  ERR_clear_error: ["void"],
} as const;

const sslTable = {
  OpenSSL_version_num: [p],
  DTLS_server_method: [p],
  DTLS_client_method: [p],
  SSL_CTX_new: [p, p],
  SSL_CTX_free: ["void", p],
  SSL_CTX_ctrl: [p, p, "int", p, p],
  SSL_CTX_set_options: ["uint64_t", p, "uint64_t"],
  SSL_CTX_set_cipher_list: ["int", p, p],
  SSL_CTX_set_verify: ["void", p, "int", p],
  SSL_CTX_set_cert_verify_callback: ["void", p, p, p],
  SSL_CTX_set_tlsext_use_srtp: ["int", p, p],
  SSL_CTX_use_certificate_ASN1: ["int", p, "int", p],
  SSL_CTX_use_PrivateKey_ASN1: ["int", "int", p, p, "long"],
  SSL_CTX_check_private_key: ["int", p],
  SSL_new: [p, p],
  SSL_free: ["void", p],
  SSL_ctrl: [p, p, "int", p, p],
  SSL_set_bio: ["void", p, p, p],
  SSL_set_accept_state: ["void", p],
  SSL_set_connect_state: ["void", p],
  SSL_do_handshake: ["int", p],
  SSL_read: ["int", p, p, "int"],
  SSL_shutdown: ["int", p],
  SSL_get_error: ["int", p, "int"],
  SSL_get_session: [p, p],
  SSL_SESSION_get_master_key: [p, p, p, p],
  SSL_get_client_random: [p, p, p, p],
  SSL_get_server_random: [p, p, p, p],
  SSL_get1_peer_certificate: [p, p],
  SSL_get_selected_srtp_profile: [p, p],
  SSL_export_keying_material: ["int", p, p, p, p, p, p, p, "int"],
  X509_free: ["void", p],
  i2d_X509: ["int", p, p],
  BIO_new: [p, p],
  BIO_s_mem: [p],
  BIO_up_ref: ["int", p],
  BIO_free: ["int", p],
  BIO_read: ["int", p, p, "int"],
  BIO_write: ["int", p, p, "int"],
  BIO_ctrl: [p, p, "int", p, p],
  ERR_clear_error: ["void"],
  ERR_get_error: [p],
  ERR_error_string_n: ["void", p, p, p],
  RAND_status: ["int"],
} as const;

const socketTable = {
  socket: ["int", "int", "int", "int"],
  bind: ["int", "int", p, "int"],
  close: ["int", "int"],
  getsockname: ["int", "int", p, p],
  setsockopt: ["int", "int", "int", "int", p, "int"],
  socketpair: ["int", "int", "int", "int", p],
  sendmmsg: ["int", "int", p, "uint", "int"],
  sendmsg: [p, "int", p, "int"],
  recv: [p, "int", p, p, "int"],
  // Of more arguments where the second says so; on Linux a third number goes where it would for any function.
  fcntl: ["int", "int", "int", "int"],
} as const;

/** Numbers in, number out; a call costs 25–100 ns. */
export type NativeFunction = (...args: number[]) => number;
type Bound<Table> = { readonly [Name in keyof Table]: NativeFunction };
export type Evp = Bound<typeof evpTable>;
export type Ssl = Bound<typeof sslTable>;
export type Sockets = Bound<typeof socketTable> & { errno(): number };

/** What this runtime offers. A missing group means: use the portable way. */
export interface NativeLibrary {
  readonly evp: Evp | undefined;
  readonly ssl: Ssl | undefined;
  readonly sockets: Sockets | undefined;
  /** Why groups are missing, for one log line at start. */
  readonly missing: readonly string[];
  /** Address of an exported function, to be handed back to native code. */
  readonly symbolAddress: (name: string) => number;
  readonly addressOf: (buffer: ArrayBufferLike) => number;
  readonly newSlab: (byteLength: number) => NativeSlab;
}

interface Koffi {
  load(path: null): {
    func(name: string, result: string, args: readonly string[]): NativeFunction;
    symbol(name: string): unknown;
  };
  address(value: unknown): bigint;
  errno(): number;
}

let loaded: NativeLibrary | undefined;

/**
 * The libc and the OpenSSL that are inside this process already, through the FFI package `koffi`. Loaded once per
 * thread; never throws: what cannot be had is named in `missing`.
 */
export function loadNativeLibrary(): NativeLibrary {
  loaded ??= load();
  return loaded;
}

function load(): NativeLibrary {
  const missing: string[] = [];
  let koffi: Koffi | undefined;
  try {
    if (endianness() !== "LE" || !["x64", "arm64"].includes(process.arch)) throw new Error(`not for ${process.arch}`);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a package without types that fit
    koffi = createRequire(import.meta.url)("koffi") as Koffi;
  } catch (thrown) {
    missing.push(`koffi: ${messageOf(thrown)}`);
  }
  const process_ = koffi?.load(null);
  const bindAll = <Table extends Record<string, readonly string[]>>(table: Table): Bound<Table> | undefined => {
    if (!process_) return undefined;
    try {
      const entries = Object.entries(table).map(([name, [result, ...args]]) => [
        name,
        process_.func(name, result!, args),
      ]);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- built from the table's own names
      return Object.fromEntries(entries) as Bound<Table>;
    } catch (thrown) {
      missing.push(messageOf(thrown));
      return undefined;
    }
  };
  const addressOf = (buffer: ArrayBufferLike): number => Number(koffi!.address(buffer));
  const sockets = process.platform === "linux" ? bindAll(socketTable) : undefined;
  return {
    evp: bindAll(evpTable),
    ssl: bindAll(sslTable),
    sockets: sockets && { ...sockets, errno: () => koffi!.errno() },
    missing,
    symbolAddress: (name) => Number(koffi!.address(process_!.symbol(name))),
    addressOf,
    newSlab: (byteLength) => new NativeSlab(byteLength, addressOf),
  };
}
