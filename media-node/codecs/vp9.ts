import { BitReader } from "../bytes/bit-reader.ts";
import { ProtocolError } from "../flow/errors.ts";

const syncCode = 0x498342;
/** `color_space` of RGB, which has other fields behind it. */
const rgb = 7;

/** What a VP9 key frame says of its pictures. */
export interface Vp9Picture {
  /** 0…3: bit depth and chroma (§7.2); browsers decode 0, some of them 2. */
  readonly profile: number;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/**
 * What a VP9 key frame says of its profile and size (VP9 bitstream specification §6.2, `uncompressed_header`); undefined for every
 * other frame, and for bytes that are none.
 */
export function vp9KeyFrame(frame: Uint8Array): Vp9Picture | undefined {
  const bits = new BitReader(frame, () => new ProtocolError("VP9_TRUNCATED", "the VP9 frame ends early"));
  try {
    if (bits.bits(2) !== 2) return undefined;
    const profile = bits.bits(1) | (bits.bits(1) << 1);
    if (profile === 3) bits.bits(1);
    const showsExisting = bits.flag();
    const isInter = bits.flag();
    if (showsExisting || isInter) return undefined;
    bits.bits(2);
    if (bits.bits(24) !== syncCode) return undefined;
    if (profile >= 2) bits.bits(1);
    const hasSubsampling = profile === 1 || profile === 3;
    if (bits.bits(3) === rgb) bits.bits(hasSubsampling ? 1 : 0);
    else bits.bits(hasSubsampling ? 4 : 1);
    return { profile, width: bits.bits(16) + 1, height: bits.bits(16) + 1 };
  } catch {
    return undefined;
  }
}
