import { createHash, timingSafeEqual } from "node:crypto";

/** Compares digests, so that the time it takes tells nothing of either: neither how long it is nor how it begins. */
export function isSameSecret(given: string | Uint8Array, secret: string | Uint8Array): boolean {
  const digestOf = (value: string | Uint8Array): Buffer => createHash("sha256").update(value).digest();
  return timingSafeEqual(digestOf(given), digestOf(secret));
}
