import { createHash } from "node:crypto";

/** Eight lower-case letters and digits (41 bits) that name content; not a secret. */
export function shortHash(content: Uint8Array | string): string {
  const digest = createHash("sha256").update(content).digest();
  return digest.readUIntBE(0, 6).toString(36).padStart(10, "0").slice(-8);
}
