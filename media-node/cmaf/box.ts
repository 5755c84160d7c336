import type { ByteWriter } from "../bytes/byte-writer.ts";

/** Writes the content of one box. */
export type BoxContent = (writer: ByteWriter) => void;

/** Appends one box (ISO 14496-12 §4.2) whose size is known once `content` has written itself. */
export function writeBox(writer: ByteWriter, type: string, content: BoxContent): void {
  const at = writer.length;
  writer.u32(0);
  writeFourCc(writer, type);
  content(writer);
  writer.setU32(at, writer.length - at);
}

/** The same with the version and flags of a full box. */
export function writeFullBox(
  writer: ByteWriter,
  type: string,
  version: number,
  flags: number,
  content: BoxContent,
): void {
  writeBox(writer, type, () => {
    writer.u8(version).u24(flags);
    content(writer);
  });
}

export function writeFourCc(writer: ByteWriter, type: string): void {
  for (let i = 0; i < 4; i++) writer.u8(type.charCodeAt(i));
}

export function writeZeros(writer: ByteWriter, count: number): void {
  for (let i = 0; i < count; i++) writer.u8(0);
}
