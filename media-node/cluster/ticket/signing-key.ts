const utf8 = new TextEncoder();

/** The cluster's shared secret, ready to sign with; `undefined` in a cluster that has no secret. */
export type SigningKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** Shorter secrets can be found by trying. */
const minSecretBytes = 16;

/**
 * Makes `HEARTH_SECRET` a key for HMAC-SHA256 (RFC 2104). Do it once, not per request.
 * @throws {RangeError} when the secret has fewer than 16 bytes
 */
export async function importSigningKey(secret: string): Promise<SigningKey> {
  const bytes = utf8.encode(secret);
  if (bytes.length < minSecretBytes) throw new RangeError(`HEARTH_SECRET needs at least ${minSecretBytes} characters`);
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
}

/**
 * HMAC-SHA256 of `text`, base64url without padding (43 characters).
 * @param purpose keeps a signature for one use from being taken for another
 */
export async function signText(key: SigningKey, purpose: string, text: string): Promise<string> {
  return toBase64Url(new Uint8Array(await crypto.subtle.sign("HMAC", key, utf8.encode(`${purpose}\n${text}`))));
}

/** Whether {@link signText} made `signature`; takes the same time wherever they differ, and never throws. */
export async function isSignatureOf(
  key: SigningKey,
  purpose: string,
  text: string,
  signature: string,
): Promise<boolean> {
  const bytes = fromBase64Url(signature);
  if (bytes?.length !== 32) return false;
  return crypto.subtle.verify("HMAC", key, bytes, utf8.encode(`${purpose}\n${text}`));
}

/** Base64url without padding (RFC 4648 §5). */
export function toBase64Url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");
}

/** Inverse of {@link toBase64Url}; `undefined` for anything that function would not have written. */
export function fromBase64Url(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[\w-]*$/.test(text) || text.length % 4 === 1) return undefined;
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
  return toBase64Url(bytes) === text ? bytes : undefined;
}
