import type { LookupAddress } from "node:dns";
import { lookup as resolveName } from "node:dns/promises";
import { connect as connectSocket, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { messageOf, TransportError } from "./flow/errors.ts";
import { raceAddresses } from "./happy-eyeballs.ts";
import { systemClock } from "./time/clock.ts";

/** Connecting takes longer than this only when nobody is there. */
const connectTimeoutMs = 3_000;

/** What a name stands for, and how one address is connected to; tests put their own in place. */
export interface DialOptions {
  readonly lookup?: (host: string) => Promise<readonly LookupAddress[]>;
  readonly connect?: (address: string, port: number) => Socket;
}

/**
 * Opens a TCP connection to whichever address of the name answers first (RFC 8305).
 * @param host a name, an IPv4 address, or an IPv6 address with or without brackets
 * @throws {TransportError} with a sentence an operator understands
 */
export async function dialTcp(
  host: string,
  port: number,
  signal: AbortSignal,
  { lookup = lookupAll, connect = connectTo }: DialOptions = {},
): Promise<Socket> {
  const where = `${host}:${port}`;
  const name = host.replace(/^\[(.*)\]$/, "$1");
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), connectTimeoutMs);
  const ends = AbortSignal.any([signal, late.signal]);
  try {
    signal.throwIfAborted();
    const family = isIP(name);
    const addresses = family === 0 ? await untilAborted(lookup(name), ends) : [{ address: name, family }];
    const socket = await raceAddresses(addresses, {
      clock: systemClock,
      signal: ends,
      connect: (address) => connect(address, port),
    });
    socket.setKeepAlive(true, 30_000);
    return socket;
  } catch (cause) {
    if (signal.aborted) throw new TransportError("DIAL_ABORTED", `connecting to ${where} was given up`, { cause });
    if (late.signal.aborted) {
      const sentence = `${where} does not answer within ${connectTimeoutMs / 1000} s`;
      throw new TransportError("DIAL_TIMEOUT", sentence, { cause });
    }
    throw new TransportError("DIAL_FAILED", `cannot connect to ${where}: ${reasonOf(cause)}`, { cause });
  } finally {
    clearTimeout(timer);
  }
}

async function lookupAll(host: string): Promise<readonly LookupAddress[]> {
  const addresses = await resolveName(host, { all: true, verbatim: true });
  if (addresses.length === 0) throw Object.assign(new Error("no address"), { code: "ENOTFOUND" });
  return addresses;
}

function connectTo(address: string, port: number): Socket {
  return connectSocket({ host: address, port, noDelay: true });
}

/** A resolver cannot be told to stop; its answer is not waited for. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(new Error("aborted"));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/**
 * The same with TLS. The certificate must be valid for `host` and come from an authority that Node trusts: those it
 * ships with, and those in the file that `NODE_EXTRA_CA_CERTS` names.
 * @throws {TransportError} with a sentence an operator understands
 */
export async function dialTls(host: string, port: number, signal: AbortSignal): Promise<TLSSocket> {
  const socket = await dialTcp(host, port, signal);
  const name = host.replace(/^\[(.*)\]$/, "$1");
  const where = `${host}:${port}`;
  return new Promise((resolve, reject) => {
    // RFC 6066 §3: an address is no server name; the certificate is held against it all the same.
    const secured = connectTls({ socket, host: name, ...(isIP(name) === 0 && { servername: name }) });
    const timer = setTimeout(
      () => fail("DIAL_TIMEOUT", `${where} does not finish the TLS handshake within ${connectTimeoutMs / 1000} s`),
      connectTimeoutMs,
    );
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      secured.off("close", onClose);
    };
    // The listener for errors stays: what comes after a failure has nobody else to hear it.
    const fail = (code: string, message: string, cause?: unknown): void => {
      settle();
      secured.destroy();
      socket.destroy();
      reject(new TransportError(code, message, { cause }));
    };
    const onAbort = (): void => fail("DIAL_ABORTED", `connecting to ${where} was given up`);
    const onError = (error: NodeJS.ErrnoException): void =>
      fail("DIAL_TLS", `no TLS with ${where}: ${tlsReasonOf(error)}`, error);
    const onClose = (): void => fail("DIAL_TLS", `no TLS with ${where}: it closed the connection`);
    secured.once("error", onError);
    secured.once("close", onClose);
    secured.once("secureConnect", () => {
      settle();
      secured.off("error", onError);
      resolve(secured);
    });
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

const untrusted = "its certificate comes from an authority this node does not trust (NODE_EXTRA_CA_CERTS adds one)";
const tlsReasons: Record<string, string> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet; is this node's clock right?",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
  ERR_SSL_WRONG_VERSION_NUMBER: "it speaks no TLS there",
  ERR_SSL_PACKET_LENGTH_TOO_LONG: "it speaks no TLS there",
};

function tlsReasonOf(error: NodeJS.ErrnoException): string {
  return tlsReasons[error.code ?? ""] ?? reasonOf(error);
}

const reasons: Record<string, string> = {
  ECONNREFUSED: "nothing listens there (connection refused)",
  ENOTFOUND: "the name is unknown",
  EAI_AGAIN: "the name cannot be looked up now",
  ENETUNREACH: "the network is unreachable",
  EHOSTUNREACH: "the host is unreachable",
  ETIMEDOUT: "it does not answer",
  ECONNRESET: "it closed the connection",
};

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return reasons[code] ?? (messageOf(error) || code || "unknown error");
}
