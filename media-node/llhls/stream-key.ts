import { createHash, createHmac } from "node:crypto";
import { streamKey as nameOf, type StreamName } from "../core/stream-name.ts";
import type { StreamDescription } from "../core/stream.ts";

const nameLength = 12;
const sourceLength = 4;

/**
 * The key in every file name of a stream, equal on all nodes with the same secret. With a secret it cannot be guessed,
 * so whoever knows a segment's name was told it by a playlist, and segments need no token of their own.
 */
export function streamFileKey(name: StreamName, source: StreamDescription, secret: string | undefined): string {
  return nameKey(name, secret) + sourceKey(source, secret);
}

/** Whether a key can be this stream's; known before the stream is pulled. A mark after `-` is ignored. */
export function isKeyOf(key: string, name: StreamName, secret: string | undefined): boolean {
  return key.split("-")[0]!.length === nameLength + sourceLength && key.startsWith(nameKey(name, secret));
}

function nameKey(name: StreamName, secret: string | undefined): string {
  return digest(`llhls stream\n${nameOf(name)}`, secret, nameLength);
}

/**
 * Where the clock is shared, segments of a restarted or replaced source go on in the same numbering, under the same
 * names. Where it is not, numbers may repeat, so another source gets other names.
 */
function sourceKey({ isEpochShared, epochMs, originId }: StreamDescription, secret: string | undefined): string {
  return digest(`llhls source\n${isEpochShared ? epochMs : originId}`, secret, sourceLength);
}

function digest(text: string, secret: string | undefined, length: number): string {
  const hash = secret === undefined ? createHash("sha256") : createHmac("sha256", secret);
  return BigInt(`0x${hash.update(text).digest("hex").slice(0, 32)}`)
    .toString(36)
    .padStart(25, "0")
    .slice(-length);
}
