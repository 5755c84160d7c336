/** Opus packets of 20 ms as a file that decoders read: one page each (RFC 3533, 7845). */
export function toOgg(packets: readonly Uint8Array[], channels: number): Buffer {
  const head = Buffer.from("OpusHead\x01\x02\0\0\x80\xbb\0\0\0\0\0", "latin1");
  head[9] = channels;
  const tags = Buffer.from("OpusTags\0\0\0\0\0\0\0\0", "latin1");
  const pages = [head, tags, ...packets].map((packet, index) => {
    const lacing = [...Array.from({ length: Math.floor(packet.length / 255) }, () => 255), packet.length % 255];
    const header = Buffer.alloc(27 + lacing.length);
    header.write("OggS");
    header[5] = index === 0 ? 2 : 0;
    header.writeBigInt64LE(BigInt(Math.max(0, index - 1) * 960), 6);
    header.writeUInt32LE(1, 14);
    header.writeUInt32LE(index, 18);
    header[26] = lacing.length;
    header.set(lacing, 27);
    const page = Buffer.concat([header, packet]);
    page.writeUInt32LE(oggChecksum(page), 22);
    return page;
  });
  return Buffer.concat(pages);
}

function oggChecksum(page: Uint8Array): number {
  let sum = 0;
  for (const byte of page) {
    sum ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) sum = sum & 0x80000000 ? (sum << 1) ^ 0x04c11db7 : sum << 1;
  }
  return sum >>> 0;
}
