import { createHmac, timingSafeEqual } from "node:crypto";

/**
 * A viewer as a `session` query value: `{id}_{expiry}_{signature}`, or `{id}` alone where nothing is signed. The expiry is in
 * seconds, base 36; one that is our own and no policy's begins with a zero, which nodes that do not know this read alike.
 */
export interface ViewerTokens {
  /** A new viewer of this stream. @param endsAtMs Unix ms at which its policy ends, in place of the usual time */
  issue(stream: string, nowWallMs: number, endsAtMs?: number): string;
  /** True for a token any node with the same secret issued for this stream and that has not expired. */
  verify(token: string, stream: string, nowWallMs: number): boolean;
  /** Whether this cluster issued the token for this stream, be it that it has run out since. */
  isIssued(token: string, stream: string): boolean;
  /**
   * Whether who watches with a token that was verified has to stop: the viewer's policy has ended. A token that is only old
   * begins nothing any more, and ends nothing.
   */
  isOver(token: string, nowWallMs: number): boolean;
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
    const isWellFormed = (token: string): boolean => idPattern.test(token);
    return { issue: newId, verify: isWellFormed, isIssued: isWellFormed, isOver: () => false };
  }
  const sign = (stream: string, id: string, expiry: string): Buffer =>
    createHmac("sha256", secret).update(`hearth llhls session\n${stream}\n${id}\n${expiry}`).digest().subarray(0, 16);
  const isIssued = (token: string, stream: string): boolean => {
    const [, id, expiry, signature] = signedPattern.exec(token) ?? [];
    if (!id || !expiry || !signature) return false;
    const given = Buffer.from(signature, "base64url");
    return given.length === 16 && timingSafeEqual(given, sign(stream, id, expiry));
  };
  const hasRunOut = (token: string, nowWallMs: number): boolean => !(parseInt(expiryOf(token), 36) * 1000 > nowWallMs);
  return {
    issue(stream, nowWallMs, endsAtMs) {
      const id = newId();
      const seconds = Math.floor((endsAtMs ?? nowWallMs + ttlMs) / 1000).toString(36);
      const expiry = endsAtMs === undefined ? `${oursMark}${seconds}` : seconds;
      return `${id}_${expiry}_${sign(stream, id, expiry).toString("base64url")}`;
    },
    isIssued,
    isOver: (token, nowWallMs) => !expiryOf(token).startsWith(oursMark) && hasRunOut(token, nowWallMs),
    verify: (token, stream, nowWallMs) => isIssued(token, stream) && !hasRunOut(token, nowWallMs),
  };
}

/** Of the expiry of tokens that a policy does not end. */
const oursMark = "0";

/** Between the first underscore and the next. */
function expiryOf(token: string): string {
  const at = token.indexOf("_") + 1;
  return at === 0 ? "" : token.slice(at, token.indexOf("_", at));
}
