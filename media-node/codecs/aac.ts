import { BitReader } from "../bytes/bit-reader.ts";
import { ProtocolError } from "../flow/errors.ts";

/** Sampling frequency index → Hz (ISO 14496-3 table 1.18). */
export const aacSampleRates = [96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350];

/** Samples in one AAC-LC frame. */
export const aacFrameSamples = 1024;

/** What an AudioSpecificConfig says (ISO 14496-3 §1.6.2.1). */
export interface AacConfig {
  /** 2 = AAC-LC, 5 = HE-AAC, 29 = HE-AAC v2 */
  readonly objectType: number;
  /** Hz, of the core codec */
  readonly sampleRate: number;
  /** Channel configuration; 0 = described in band */
  readonly channels: number;
}

/** @throws {ProtocolError} when the record is cut short or names a reserved rate */
export function parseAacConfig(bytes: Uint8Array): AacConfig {
  const bits = new BitReader(
    bytes,
    () => new ProtocolError("AAC_CONFIG_TRUNCATED", "the AAC configuration ends early"),
  );
  let objectType = bits.bits(5);
  if (objectType === 31) objectType = 32 + bits.bits(6);
  const index = bits.bits(4);
  const sampleRate = index === 15 ? bits.bits(24) : aacSampleRates[index];
  if (!sampleRate) throw new ProtocolError("AAC_CONFIG_RATE", `the AAC configuration names reserved rate ${index}`);
  return { objectType, sampleRate, channels: bits.bits(4) };
}

/** Inverse of {@link parseAacConfig} for the rates of the table. */
export function serializeAacConfig({ objectType, sampleRate, channels }: AacConfig): Uint8Array {
  const index = aacSampleRates.indexOf(sampleRate);
  if (index < 0) throw new ProtocolError("AAC_CONFIG_RATE", `${sampleRate} Hz is not in the AAC rate table`);
  return Uint8Array.of((objectType << 3) | (index >> 1), ((index & 1) << 7) | (channels << 3));
}

/** One ADTS frame (ISO 14496-3 §1.A.2.2): its configuration and raw data. */
export interface AdtsFrame {
  readonly config: AacConfig;
  /** View into the input. */
  readonly data: Uint8Array;
}

/**
 * Cuts whole ADTS frames that lie back to back.
 * @throws {ProtocolError} on a lost sync word, or a frame longer than what is there
 */
export function parseAdtsFrames(bytes: Uint8Array): AdtsFrame[] {
  const frames: AdtsFrame[] = [];
  for (let at = 0; at < bytes.length;) {
    if (at + 7 > bytes.length || bytes[at] !== 0xff || (bytes[at + 1]! & 0xf6) !== 0xf0) {
      throw new ProtocolError("ADTS_SYNC", "no ADTS sync word where a frame should begin");
    }
    const hasCrc = (bytes[at + 1]! & 1) === 0;
    const headerLength = hasCrc ? 9 : 7;
    const frameLength = ((bytes[at + 3]! & 3) << 11) | (bytes[at + 4]! << 3) | (bytes[at + 5]! >> 5);
    if (frameLength < headerLength || at + frameLength > bytes.length) {
      throw new ProtocolError("ADTS_LENGTH", "an ADTS frame is longer than its packet");
    }
    const sampleRate = aacSampleRates[(bytes[at + 2]! >> 2) & 15];
    if (!sampleRate) throw new ProtocolError("ADTS_RATE", "an ADTS frame names a reserved rate");
    frames.push({
      config: {
        objectType: (bytes[at + 2]! >> 6) + 1,
        sampleRate,
        channels: ((bytes[at + 2]! & 1) << 2) | (bytes[at + 3]! >> 6),
      },
      data: bytes.subarray(at + headerLength, at + frameLength),
    });
    at += frameLength;
  }
  return frames;
}

/** The 7-byte ADTS header, without CRC, for a raw frame of `dataLength` bytes. Inverse of {@link parseAdtsFrames}. */
export function serializeAdtsHeader({ objectType, sampleRate, channels }: AacConfig, dataLength: number): Uint8Array {
  const index = aacSampleRates.indexOf(sampleRate);
  if (index < 0) throw new ProtocolError("ADTS_RATE", `${sampleRate} Hz is not in the AAC rate table`);
  const length = dataLength + 7;
  if (length > 0x1fff) throw new ProtocolError("ADTS_LENGTH", `an AAC frame of ${dataLength} bytes does not fit ADTS`);
  // ADTS knows object types 1…4 only; HE-AAC is signalled as its LC core.
  const profile = objectType >= 1 && objectType <= 4 ? objectType - 1 : 1;
  return Uint8Array.of(
    0xff,
    0xf1,
    (profile << 6) | (index << 2) | (channels >> 2),
    ((channels & 3) << 6) | (length >> 11),
    (length >> 3) & 0xff,
    ((length & 7) << 5) | 0x1f,
    0xfc,
  );
}
