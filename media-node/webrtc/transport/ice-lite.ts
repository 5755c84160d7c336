import { ProtocolError } from "../../flow/errors.ts";
import {
  errorCode,
  isIntegrityTrue,
  parseStun,
  serializeStun,
  stunAttributes,
  stunTypes,
  xorMappedAddress,
  type StunMessage,
} from "./stun.ts";

/** What an authentic check says. */
export interface IceCheck {
  readonly isNominating: boolean;
  readonly reply: Uint8Array;
}

/** Local user fragment of a check: USERNAME is `ours:theirs` (RFC 8445 §7.2.2). */
export function localUfragOf(message: StunMessage): string | undefined {
  const username = message.attributes.get(stunAttributes.username);
  if (!username || username.length > 513) return undefined;
  const text = Buffer.from(username).toString("latin1");
  const colon = text.indexOf(":");
  return colon > 0 ? text.slice(0, colon) : undefined;
}

/** @throws {ProtocolError} unless `bytes` are a binding request, or its answer, with FINGERPRINT and MESSAGE-INTEGRITY (neither is checked against a key yet) */
export function parseCheck(bytes: Uint8Array): StunMessage {
  const message = parseStun(bytes);
  const isKnown = message.type === stunTypes.bindingRequest || message.type === stunTypes.bindingSuccess;
  if (!isKnown) throw new ProtocolError("STUN_TYPE", "not a check");
  if (!message.hasFingerprint) throw new ProtocolError("STUN_FINGERPRINT", "a check without FINGERPRINT");
  if (message.integrityAt === undefined) throw new ProtocolError("STUN_INTEGRITY", "a check without MESSAGE-INTEGRITY");
  return message;
}

/**
 * Answers a check as an ICE-lite agent, always controlled (RFC 8445 §7.3).
 * @returns `undefined` when the message was not made with this password: say nothing, keep nothing
 */
export function answerCheck(
  bytes: Uint8Array,
  message: StunMessage,
  password: string,
  from: { readonly address: string; readonly port: number },
): IceCheck | { readonly conflict: Uint8Array } | undefined {
  if (!isIntegrityTrue(bytes, message, password)) return undefined;
  const { attributes, transactionId } = message;
  if (attributes.has(stunAttributes.iceControlled)) {
    // §7.3.1.1: a lite agent never takes the controlling role, so the other must.
    const attribute = errorCode(487, "Role Conflict");
    return { conflict: serializeStun(stunTypes.bindingError, transactionId, [attribute], password) };
  }
  const mapped = xorMappedAddress(from.address, from.port, transactionId);
  return {
    isNominating: attributes.has(stunAttributes.useCandidate),
    reply: serializeStun(stunTypes.bindingSuccess, transactionId, [mapped], password),
  };
}

/** What the viewer's SDP says; `ufrag` is its own. */
export interface RemoteCredentials {
  readonly ufrag: string;
  readonly pwd: string;
}

/**
 * A check of ours. A lite agent need not send any (RFC 8445 §2.5), but only an answer shows that an address receives: the
 * source of a datagram can be invented by who knows its own credentials.
 * @param transactionId 12 unpredictable bytes, as hex
 */
export function makeProof(localUfrag: string, remote: RemoteCredentials, transactionId: string): Uint8Array {
  return serializeStun(
    stunTypes.bindingRequest,
    transactionId,
    [
      [stunAttributes.username, Buffer.from(`${remote.ufrag}:${localUfrag}`)],
      [stunAttributes.iceControlled, Buffer.from(transactionId.slice(0, 16), "hex")],
      [stunAttributes.priority, Buffer.from([0x6e, 0xff, 0xff, 0xff])],
    ],
    remote.pwd,
  );
}
