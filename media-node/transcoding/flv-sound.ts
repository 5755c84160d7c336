/** A tag counts its bytes with 24 bits; no AAC frame comes near a hundredth of that. */
export const maxFlvFrameBytes = 64 * 1024;
/** Timestamps are read as signed. */
export const maxFlvMs = 2 ** 31 - 1;

/** Adobe FLV 10.1 §E.2: "FLV", version 1, sound only, header length 9, and the empty tag before the first one. */
const fileHeader = [0x46, 0x4c, 0x56, 1, 4, 0, 0, 0, 9, 0, 0, 0, 0];
/** AAC; the other bits are fixed for it (§E.4.2.1). */
const aacSound = 0xaf;
const tagHeaderLength = 11;

/** The beginning of a file that holds one AAC track. @param decoderConfig AudioSpecificConfig */
export function serializeFlvStart(decoderConfig: Uint8Array): Uint8Array {
  const tag = serializeTag(0, 0, decoderConfig);
  const bytes = new Uint8Array(fileHeader.length + tag.length);
  bytes.set(fileHeader);
  bytes.set(tag, fileHeader.length);
  return bytes;
}

/** One raw AAC frame of at most {@link maxFlvFrameBytes}, at a whole millisecond up to {@link maxFlvMs}. */
export function serializeFlvFrame(timeMs: number, data: Uint8Array): Uint8Array {
  return serializeTag(1, timeMs, data);
}

/**
 *     | 8 | length (3) | time (3) | time, top byte | stream (3) | 0xaf | 0 = configuration, 1 = frame | … | length (4) |
 */
function serializeTag(kind: 0 | 1, timeMs: number, data: Uint8Array): Uint8Array {
  const length = data.length + 2;
  const bytes = new Uint8Array(tagHeaderLength + length + 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (8 << 24) | length);
  view.setUint32(4, ((timeMs & 0xffffff) << 8) | ((timeMs >>> 24) & 0xff));
  bytes[tagHeaderLength] = aacSound;
  bytes[tagHeaderLength + 1] = kind;
  bytes.set(data, tagHeaderLength + 2);
  view.setUint32(tagHeaderLength + length, tagHeaderLength + length);
  return bytes;
}
