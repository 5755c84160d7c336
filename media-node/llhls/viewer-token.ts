import { createHmac, timingSafeEqual } from "node:crypto";

/** A viewer as a `session` query value: `{id}_{expiry}_{signature}`, or `{id}` alone where nothing is signed. */
export interface ViewerTokens {
  /** A new viewer of this stream. @param endsAtMs Unix ms after which the token is void, if that is before its time */
  issue(stream: string, nowWallMs: number, endsAtMs?: number): string;
  /** True for a token any node with the same secret issued for this stream and that has not expired. */
  verify(token: string, stream: string, nowWallMs: number): boolean;
  /** Whether a token that was verified before has run out. */
  isExpired(token: string, nowWallMs: number): boolean;
}

export interface ViewerTokenOptions {
  /** Shared by all nodes. Without it every well-formed token is taken: viewers are counted, not checked. */
  readonly secret?: string;
  readonly ttlMs: number;
  readonly randomBytes: (count: number) => Uint8Array;
}

const idPattern = /^[A-Za-z0-9-]{1,32}$/;
const signedPattern = /^([A-Za-z0-9-]{1,32})_([a-z0-9]{1,10})_([A-Za-z0-9_-]{22})$/;

export function createViewerTokens({ secret, ttlMs, randomBytes }: ViewerTokenOptions): ViewerTokens {
  const newId = (): string => Buffer.from(randomBytes(9)).toString("base64url").replaceAll("_", "-");
  if (secret === undefined) {
    return { issue: newId, verify: (token) => idPattern.test(token), isExpired: () => false };
  }
  const sign = (stream: string, id: string, expiry: string): Buffer =>
    createHmac("sha256", secret).update(`hearth llhls session\n${stream}\n${id}\n${expiry}`).digest().subarray(0, 16);
  return {
    isExpired: (token, nowWallMs) => !(parseInt(token.split("_", 2)[1] ?? "", 36) * 1000 > nowWallMs),
    issue(stream, nowWallMs, endsAtMs = Number.POSITIVE_INFINITY) {
      const id = newId();
      const expiry = Math.floor(Math.min(nowWallMs + ttlMs, endsAtMs) / 1000).toString(36);
      return `${id}_${expiry}_${sign(stream, id, expiry).toString("base64url")}`;
    },
    verify(token, stream, nowWallMs) {
      const [, id, expiry, signature] = signedPattern.exec(token) ?? [];
      if (!id || !expiry || !signature) return false;
      const given = Buffer.from(signature, "base64url");
      const isGenuine = given.length === 16 && timingSafeEqual(given, sign(stream, id, expiry));
      return isGenuine && parseInt(expiry, 36) * 1000 > nowWallMs;
    },
  };
}
