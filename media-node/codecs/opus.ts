/** Opus always runs its RTP and MP4 clock at this rate (RFC 7587 §4.1). */
export const opusClockRate = 48_000;

/** Samples at 48 kHz of one frame, by the configuration in the TOC byte (RFC 6716 §3.1, table 2). */
function frameSamples(config: number): number {
  if (config < 12) return [480, 960, 1920, 2880][config & 3]!;
  if (config < 16) return [480, 960][config & 1]!;
  return [120, 240, 480, 960][config & 3]!;
}

/** Duration of an Opus packet in samples at 48 kHz; 0 for an empty or malformed packet. */
export function opusPacketSamples(packet: Uint8Array): number {
  const toc = packet[0];
  if (toc === undefined) return 0;
  const code = toc & 3;
  const frames = code === 0 ? 1 : code < 3 ? 2 : (packet[1] ?? 0) & 63;
  const samples = frames * frameSamples(toc >> 3);
  return samples > 5_760 ? 0 : samples;
}
