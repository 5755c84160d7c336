import { BitReader } from "../bytes/bit-reader.ts";
import { ProtocolError } from "../flow/errors.ts";

const syncCode = 0x498342;
/** `color_space` of RGB, which has other fields behind it. */
const rgb = 7;

/** What a VP9 key frame says of its pictures. */
export interface Vp9Picture {
  /** 0…3: bit depth and chroma (§7.2); browsers decode 0, some of them 2. */
  readonly profile: number;
  readonly bitDepth: number;
  /** 1: half as many samples of colour as of brightness. */
  readonly subsamplingX: number;
  readonly subsamplingY: number;
  readonly isFullRange: boolean;
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
    const bitDepth = profile >= 2 ? (bits.flag() ? 12 : 10) : 8;
    const colour = colourOf(bits, profile === 1 || profile === 3);
    return { profile, bitDepth, ...colour, width: bits.bits(16) + 1, height: bits.bits(16) + 1 };
  } catch {
    return undefined;
  }
}

function colourOf(
  bits: BitReader,
  hasSubsampling: boolean,
): Pick<Vp9Picture, "subsamplingX" | "subsamplingY" | "isFullRange"> {
  if (bits.bits(3) === rgb) {
    if (hasSubsampling) bits.bits(1);
    return { subsamplingX: 0, subsamplingY: 0, isFullRange: true };
  }
  const isFullRange = bits.flag();
  if (!hasSubsampling) return { subsamplingX: 1, subsamplingY: 1, isFullRange };
  const [subsamplingX, subsamplingY] = [bits.bits(1), bits.bits(1)];
  bits.bits(1);
  return { subsamplingX, subsamplingY, isFullRange };
}

/** Level by the most samples of brightness in a picture (VP9 levels, annex A). */
const levels: readonly (readonly [level: number, pictureSamples: number])[] = [
  [10, 36_864],
  [11, 73_728],
  [20, 122_880],
  [21, 245_760],
  [30, 552_960],
  [31, 983_040],
  [40, 2_228_224],
  [50, 8_912_896],
  [60, 35_651_584],
];

/**
 * The `vpcC` record (VP codec ISO media file format binding §2.2) of a key frame, without the first four bytes of a full
 * box. VP9 does not state its level: it is the least that fits the picture.
 */
export function vp9ConfigOf(keyframe: Uint8Array): Uint8Array | undefined {
  const picture = vp9KeyFrame(keyframe);
  if (!picture) return undefined;
  const { profile, bitDepth, subsamplingX, subsamplingY, isFullRange, width, height } = picture;
  const level = levels.find(([, most]) => width * height <= most)?.[0] ?? 62;
  // 1: 4:2:0 with samples on those of brightness; 2: 4:2:2; 3: 4:4:4.
  const chroma = subsamplingX === 0 ? 3 : subsamplingY === 0 ? 2 : 1;
  // Primaries, transfer and matrix are not told: 2 each.
  return Uint8Array.of(profile, level, (bitDepth << 4) | (chroma << 1) | Number(isFullRange), 2, 2, 2, 0, 0);
}
