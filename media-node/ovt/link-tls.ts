import { createHash, createHmac } from "node:crypto";
import type { Duplex } from "node:stream";
import { connect, TLSSocket, type TlsOptions } from "node:tls";
import { TransportError } from "../flow/errors.ts";

/**
 * TLS between nodes of one cluster, without certificates: both sides prove that they hold the cluster's secret (RFC 8446
 * §4.2.11, external PSK with ephemeral key exchange), so neither talks to a stranger, and a recording stays secret when
 * the cluster's secret leaks later.
 */
const common = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ciphers: "TLS_AES_128_GCM_SHA256" } as const;
/** So that the secret itself is never used as a key, and not for two things. */
const purpose = "hearth-ovt-tls-1";
/** The first byte of every TLS handshake; OVT begins with 0x40 or 0x60. */
const handshakeByte = 0x16;
const recordHeaderLength = 5;
/** Nodes greet with some 300 bytes. */
const maxGreetingBytes = 2_048;

function keyOf(secret: string): Buffer {
  return createHmac("sha256", secret).update(purpose).digest();
}

/** Names a key without telling it, so that a cluster can change its secret node by node. */
function identityOf(key: Buffer): string {
  return `${purpose}.${createHash("sha256").update(key).digest("base64url").slice(0, 16)}`;
}

/**
 * Tells whether a peer wants TLS, by its first byte; calls back once, with the bytes put back. Of TLS the whole first
 * record is awaited, since a handshake that is begun costs much more memory than a peer that only says it wants one.
 */
export function hearGreeting(connection: Duplex, onHeard: (isTls: boolean) => void): void {
  let before: Buffer | undefined;
  const onData = (chunk: Uint8Array): void => {
    // A copy: what the socket read lies in a piece of memory of its own, which costs more than its few bytes.
    const heard = before ? Buffer.concat([before, chunk]) : Buffer.from(chunk);
    before = heard;
    const isTls = heard[0] === handshakeByte;
    const wanted = isTls ? recordHeaderLength + (heard.length < recordHeaderLength ? 0 : heard.readUInt16BE(3)) : 1;
    if (heard.length < Math.min(wanted, maxGreetingBytes)) return;
    connection.off("data", onData);
    connection.pause();
    connection.unshift(heard);
    onHeard(isTls);
  };
  connection.on("data", onData);
}

/** The edge's side: resolves when both have proved themselves. Owns `connection` from then on; a failure closes it. */
export async function secureAsEdge(connection: Duplex, secret: string, signal: AbortSignal): Promise<Duplex> {
  const key = keyOf(secret);
  const secured = connect({
    ...common,
    socket: connection,
    pskCallback: () => ({ psk: key, identity: identityOf(key) }),
    // There is no certificate to look at: who knows the key is the peer.
    checkServerIdentity: () => undefined,
  });
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => {
      connection.destroy();
      secured.destroy();
      reject(
        new TransportError("OVT_TLS", "the origin does not share this cluster's secret, or speaks no TLS", { cause }),
      );
    };
    const onAbort = (): void => fail(signal.reason);
    secured.once("error", fail);
    secured.once("close", () => fail(undefined));
    secured.once("secureConnect", () => {
      signal.removeEventListener("abort", onAbort);
      secured.removeAllListeners("close");
      secured.off("error", fail);
      resolve(secured);
    });
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}

/** The origin's side: calls `onSecure` once the peer has proved itself; a peer that cannot is closed, and `onStranger` told. */
export function secureAsOrigin(
  connection: Duplex,
  secrets: readonly string[],
  onSecure: (secured: Duplex) => void,
  onStranger: () => void,
): void {
  const keys = new Map(secrets.map(keyOf).map((key) => [identityOf(key), key]));
  const options: TlsOptions = { ...common, pskCallback: (_socket, identity) => keys.get(identity) ?? null };
  // Node's types leave `pskCallback` out of what a wrapped socket takes; the runtime reads it.
  const secured = new TLSSocket(connection, { ...options, isServer: true });
  const fail = (): void => {
    secured.destroy();
    connection.destroy();
    onStranger();
  };
  secured.once("error", fail);
  secured.once("secure", () => {
    secured.off("error", fail);
    onSecure(secured);
  });
}
