/** Clock of PTS, DTS and PCR, Hz. */
const clockRate = 90_000;
/** PTS and DTS have 33 bits. */
const wrap = 2 ** 33;

/**
 * Ticks of a track as 90 kHz modulo 2³³, rounded down. Whole seconds are split off first: ticks since 1970 times 90,000
 * leave the safe integers.
 */
export function clockTime(ticks: number, timescale: number): number {
  const seconds = Math.floor(ticks / timescale);
  const rest = Math.floor(((ticks - seconds * timescale) * clockRate) / timescale);
  return modulo(seconds * clockRate + rest);
}

/** A time before 0 is one before the wrap. */
export function modulo(time: number): number {
  return ((time % wrap) + wrap) % wrap;
}

const streamIds = { video: 0xe0, audio: 0xc0 } as const;

/**
 * One PES packet (ISO 13818-1 §2.4.3.6). Video states no length, since pictures may be larger than 64 KB.
 * @param pts as {@link clockTime} gives it
 * @param dts the same; written where it differs
 */
export function serializePes(
  kind: "video" | "audio",
  pts: number,
  dts: number,
  pieces: readonly Uint8Array[],
): Uint8Array {
  const hasDts = dts !== pts;
  const timesLength = hasDts ? 10 : 5;
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const packet = new Uint8Array(9 + timesLength + size);
  const length = kind === "video" ? 0 : 3 + timesLength + size;
  // Start code, stream id, length; '10' and data_alignment_indicator; which times follow.
  packet.set([0, 0, 1, streamIds[kind], length >> 8, length & 0xff, 0x84, hasDts ? 0xc0 : 0x80, timesLength]);
  writeTime(packet, 9, hasDts ? 3 : 2, pts);
  if (hasDts) writeTime(packet, 14, 1, dts);
  let at = 9 + timesLength;
  for (const piece of pieces) {
    packet.set(piece, at);
    at += piece.length;
  }
  return packet;
}

/** 33 bits in three runs, each followed by a marker bit. */
function writeTime(packet: Uint8Array, at: number, prefix: number, time: number): void {
  const high = Math.floor(time / 2 ** 30);
  const low = time % 2 ** 30;
  packet[at] = (prefix << 4) | (high << 1) | 1;
  packet[at + 1] = low >> 22;
  packet[at + 2] = ((low >> 14) & 0xfe) | 1;
  packet[at + 3] = low >> 7;
  packet[at + 4] = ((low << 1) & 0xfe) | 1;
}
