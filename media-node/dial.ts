import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { TransportError } from "./flow/errors.ts";

/** Connecting takes longer than this only when nobody is there. */
const connectTimeoutMs = 3_000;

/**
 * Opens a TCP connection, trying every address of the name (RFC 8305).
 * @throws {TransportError} with a sentence an operator understands
 */
export function dialTcp(host: string, port: number, signal: AbortSignal): Promise<Duplex> {
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
