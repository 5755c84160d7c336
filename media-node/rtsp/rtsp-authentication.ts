import { createHash } from "node:crypto";
import type { RtspCredentials } from "./rtsp-url.ts";

/** What a server asks for in `WWW-Authenticate` (RFC 2617, RFC 7616). */
export type RtspChallenge =
  | { readonly scheme: "basic"; readonly realm: string }
  | {
      readonly scheme: "digest";
      readonly realm: string;
      readonly nonce: string;
      readonly opaque: string | undefined;
      readonly algorithm: DigestAlgorithm;
      /** Whether to answer with `qop=auth`. */
      readonly hasQop: boolean;
      readonly isStale: boolean;
    };

interface DigestAlgorithm {
  /** As to be sent back; undefined when the server named none. */
  readonly name: string | undefined;
  readonly hash: "md5" | "sha256";
  readonly isSession: boolean;
}

const strength = (challenge: RtspChallenge): number =>
  challenge.scheme === "basic" ? 0 : challenge.algorithm.hash === "md5" ? 1 : 2;

/** Real servers send two or three, of some 200 characters. */
const maxChallenges = 8;
const maxChallengeLength = 2_048;

/** The strongest challenge we can answer, of all `WWW-Authenticate` headers; undefined when there is none. */
export function chooseChallenge(values: readonly string[]): RtspChallenge | undefined {
  const challenges = values
    .slice(0, maxChallenges)
    .flatMap(splitChallenges)
    .flatMap((text) => parseChallenge(text) ?? []);
  return challenges.toSorted((a, b) => strength(b) - strength(a))[0];
}

/** One header may hold several challenges, whose own parameters are separated by commas too. */
function splitChallenges(value: string): string[] {
  return value.slice(0, maxChallengeLength).split(/,\s*(?=(?:basic|digest)\s)/i);
}

function parseChallenge(text: string): RtspChallenge | undefined {
  const scheme = /^\s*(basic|digest)\b/i.exec(text)?.[1]?.toLowerCase();
  const parameters = new Map(
    [...text.matchAll(/([a-z_-]{1,40})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi)].map(([, name, quoted, plain]) => [
      name!.toLowerCase(),
      (quoted ?? plain ?? "").replace(/\\(.)/g, "$1"),
    ]),
  );
  const realm = parameters.get("realm") ?? "";
  if (scheme === "basic") return { scheme, realm };
  const nonce = parameters.get("nonce");
  const algorithm = parseAlgorithm(parameters.get("algorithm"));
  if (scheme !== "digest" || nonce === undefined || !algorithm) return undefined;
  const qop = parameters.get("qop");
  const hasQop = qop !== undefined && qop.split(",").some((item) => item.trim().toLowerCase() === "auth");
  // A server that offers auth-int only cannot be answered: our requests have no body to protect.
  if (qop !== undefined && qop !== "" && !hasQop) return undefined;
  return {
    scheme,
    realm,
    nonce,
    opaque: parameters.get("opaque"),
    algorithm,
    hasQop,
    isStale: parameters.get("stale")?.toLowerCase() === "true",
  };
}

function parseAlgorithm(name: string | undefined): DigestAlgorithm | undefined {
  const match = /^(md5|sha-256)(-sess)?$/i.exec(name ?? "md5");
  if (!match) return undefined;
  return { name, hash: match[1]!.toLowerCase() === "md5" ? "md5" : "sha256", isSession: match[2] !== undefined };
}

/** Answers one challenge for as many requests as the server lets its nonce live. */
export class RtspAuthorizer {
  readonly challenge: RtspChallenge;
  readonly #credentials: RtspCredentials;
  readonly #clientNonce: string;
  #count = 0;

  /** @param clientNonce hexadecimal, unpredictable */
  constructor(challenge: RtspChallenge, credentials: RtspCredentials, clientNonce: string) {
    this.challenge = challenge;
    this.#credentials = credentials;
    this.#clientNonce = clientNonce;
  }

  /** The `Authorization` header for one request; each call counts the nonce on. */
  authorize(method: string, uri: string): string {
    const { user, password } = this.#credentials;
    const { challenge } = this;
    if (challenge.scheme === "basic") return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
    const { realm, nonce, opaque, algorithm, hasQop } = challenge;
    const hash = (text: string): string => createHash(algorithm.hash).update(text).digest("hex");
    const count = (++this.#count).toString(16).padStart(8, "0");
    const plain = hash(`${user}:${realm}:${password}`);
    const secret = algorithm.isSession ? hash(`${plain}:${nonce}:${this.#clientNonce}`) : plain;
    const request = hash(`${method}:${uri}`);
    // RFC 2617 §3.2.2.1, the second form for servers of RFC 2069.
    const response = hasQop
      ? hash(`${secret}:${nonce}:${count}:${this.#clientNonce}:auth:${request}`)
      : hash(`${secret}:${nonce}:${request}`);
    const fields = [
      `username=${quote(user)}`,
      `realm=${quote(realm)}`,
      `nonce=${quote(nonce)}`,
      `uri=${quote(uri)}`,
      `response="${response}"`,
    ];
    if (algorithm.name !== undefined) fields.push(`algorithm=${algorithm.name}`);
    if (hasQop) fields.push("qop=auth", `nc=${count}`);
    if (hasQop || algorithm.isSession) fields.push(`cnonce="${this.#clientNonce}"`);
    if (opaque !== undefined) fields.push(`opaque=${quote(opaque)}`);
    return `Digest ${fields.join(", ")}`;
  }
}

function quote(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}
