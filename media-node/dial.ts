import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { TransportError } from "./flow/errors.ts";

/** Connecting takes longer than this only when nobody is there. */
const connectTimeoutMs = 3_000;

/**
 * Opens a TCP connection, trying every address of the name (RFC 8305).
 * @throws {TransportError} with a sentence an operator understands
 */
export function dialTcp(host: string, port: number, signal: AbortSignal): Promise<Socket> {
  const where = `${host}:${port}`;
  return new Promise((resolve, reject) => {
    const socket = connect({ host: host.replace(/^\[(.*)\]$/, "$1"), port, autoSelectFamily: true, noDelay: true });
    const fail = (error: TransportError): void => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(new TransportError("DIAL_ABORTED", `connecting to ${where} was given up`));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    const onError = (error: NodeJS.ErrnoException): void => {
      fail(new TransportError("DIAL_FAILED", `cannot connect to ${where}: ${reasonOf(error)}`, { cause: error }));
    };
    socket.once("error", onError);
    socket.setTimeout(connectTimeoutMs, () =>
      fail(new TransportError("DIAL_TIMEOUT", `${where} does not answer within ${connectTimeoutMs / 1000} s`)),
    );
    socket.once("connect", () => {
      socket.setTimeout(0);
      socket.removeAllListeners("timeout");
      socket.off("error", onError);
      signal.removeEventListener("abort", onAbort);
      socket.setKeepAlive(true, 30_000);
      resolve(socket);
    });
  });
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

function reasonOf(error: NodeJS.ErrnoException): string {
  // With several addresses the error is an AggregateError without a text of its own.
  return reasons[error.code ?? ""] ?? (error.message || error.code || "unknown error");
}
