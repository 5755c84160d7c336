/** A source of unpredictable bytes; handed in, so that tests replay. */
export type RandomBytes = (length: number) => Uint8Array;

/** 0 … 2³²−1 */
export function randomUint32(random: RandomBytes): number {
  const [a = 0, b = 0, c = 0, d = 0] = random(4);
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

/** An SSRC: never 0, which some receivers take for "none". */
export function randomSsrc(random: RandomBytes): number {
  return randomUint32(random) || 1;
}

/** Letters, digits, `-` and `_`: safe in URLs, SDP and JSON. */
export function randomToken(random: RandomBytes, bytes: number): string {
  return Buffer.from(random(bytes)).toString("base64url");
}
