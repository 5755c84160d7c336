import { ByteWriter } from "../bytes/byte-writer.ts";

const programNumber = 1;
const transportStreamId = 1;

/** PID of the PMT. */
export const pmtPid = 0x1000;

/** What the PMT says of one elementary stream. */
export interface ProgramStream {
  readonly pid: number;
  readonly streamType: number;
}

/** Program association section: one program (ISO 13818-1 §2.4.4.3). */
export function serializePat(): Uint8Array {
  const body = new ByteWriter(8).u16(programNumber).u16(0xe000 | pmtPid);
  return section(0x00, transportStreamId, body.finish());
}

/** Program map section without descriptors (ISO 13818-1 §2.4.4.8). */
export function serializePmt(pcrPid: number, streams: readonly ProgramStream[]): Uint8Array {
  const body = new ByteWriter(32).u16(0xe000 | pcrPid).u16(0xf000);
  for (const { pid, streamType } of streams)
    body
      .u8(streamType)
      .u16(0xe000 | pid)
      .u16(0xf000);
  return section(0x02, programNumber, body.finish());
}

/** A section of the long form: version 0, current, the only one of its table. */
function section(tableId: number, extension: number, body: Uint8Array): Uint8Array {
  const length = 5 + body.length + 4;
  const writer = new ByteWriter(3 + length);
  writer
    .u8(tableId)
    .u16(0xb000 | length)
    .u16(extension)
    .u8(0xc1)
    .u8(0)
    .u8(0)
    .bytes(body);
  writer.u32(crc32Mpeg(writer.finish()));
  return writer.finish();
}

/** The polynomial 0x04C11DB7, most significant bit first, neither reflected nor inverted (ISO 13818-1 annex A). */
function crc32Mpeg(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte << 24;
    for (let bit = 0; bit < 8; bit++) crc = crc < 0 ? (crc << 1) ^ 0x04c11db7 : crc << 1;
  }
  return crc >>> 0;
}
