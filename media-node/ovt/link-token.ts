import { createHmac, timingSafeEqual } from "node:crypto";

/**
 * Proof that a peer belongs to the cluster: `<expires>.<scope>.<signature>`, where `expires` is Unix seconds, `scope` is
 * percent-encoded and one of `app/stream`, `app/*` and `*`, and the signature is HMAC-SHA256 over both, base64url.
 */
export interface LinkToken {
  readonly scope: string;
  readonly expiresMs: number;
}

/** So that a signature made for something else with the same secret is worth nothing here. */
const purpose = "hearth-ovt-link-1";

function signatureOf(secret: string, expires: string, scope: string): Buffer {
  return createHmac("sha256", secret).update(`${purpose}\n${expires}\n${scope}`).digest();
}

/** @returns text that fits into a URL's query as it is */
export function signLinkToken(secret: string, { scope, expiresMs }: LinkToken): string {
  const expires = String(Math.ceil(expiresMs / 1000));
  return `${expires}.${encodeURIComponent(scope)}.${signatureOf(secret, expires, scope).toString("base64url")}`;
}

/** Whether `token` is signed with one of `secrets`, still valid, and covers `app/stream`. Compares in constant time. */
export function isLinkTokenValid(
  token: string,
  wanted: {
    readonly secrets: readonly string[];
    readonly app: string;
    readonly stream: string;
    readonly wallMs: number;
  },
): boolean {
  const parts = token.split(".");
  const signature = parts.pop();
  const expires = parts.shift();
  if (signature === undefined || expires === undefined || parts.length === 0 || !/^\d{1,12}$/.test(expires))
    return false;
  const scope = decoded(parts.join("."));
  if (scope === undefined || Number(expires) * 1000 <= wanted.wallMs) return false;
  if (![`${wanted.app}/${wanted.stream}`, `${wanted.app}/*`, "*"].includes(scope)) return false;
  const given = Buffer.from(signature, "base64url");
  return wanted.secrets.some((secret) => {
    const right = signatureOf(secret, expires, scope);
    return given.length === right.length && timingSafeEqual(given, right);
  });
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
