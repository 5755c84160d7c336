import { parseAacConfig } from "../codecs/aac.ts";
import { parseAv1Config } from "../codecs/av1.ts";
import type { CmafTrack } from "./cmaf-track.ts";

const hex = (value: number): string => value.toString(16).padStart(2, "0");

/**
 * The codec as a playlist names it (RFC 6381; ISO 14496-15 annex E).
 * @throws {ProtocolError} when the decoder configuration is none
 */
export function codecString({ codec, decoderConfig }: CmafTrack): string {
  if (codec === "h264")
    return `avc1.${hex(decoderConfig[1] ?? 0)}${hex(decoderConfig[2] ?? 0)}${hex(decoderConfig[3] ?? 0)}`;
  if (codec === "h265") return hevcString(decoderConfig);
  if (codec === "aac") return `mp4a.40.${parseAacConfig(decoderConfig).objectType}`;
  if (codec === "av1") return av1String(decoderConfig);
  if (codec === "vp9") return vp9String(decoderConfig);
  return "opus";
}

const two = (value: number): string => String(value).padStart(2, "0");

/** `av01.{profile}.{level}{tier}.{bit depth}` (AV1 in ISO BMFF §5), read from av1C. */
function av1String(config: Uint8Array): string {
  const { profile, level, tier, bitDepth } = parseAv1Config(config);
  return `av01.${profile}.${two(level)}${tier === 1 ? "H" : "M"}.${two(bitDepth)}`;
}

/** `vp09.{profile}.{level}.{bit depth}` (VP codec ISO media file format binding §4), read from vpcC. */
function vp9String(config: Uint8Array): string {
  return `vp09.${two(config[0] ?? 0)}.${two(config[1] ?? 0)}.${two((config[2] ?? 0) >> 4)}`;
}

/** `hvc1.{profile}.{compatibility, bits reversed}.{tier}{level}{.constraint bytes without trailing zeros}`. */
function hevcString(config: Uint8Array): string {
  const at = (index: number): number => config[index] ?? 0;
  const space = ["", "A", "B", "C"][at(1) >> 6]!;
  let compatibility = 0;
  for (let bit = 0; bit < 32; bit++) {
    if ((at(2 + (bit >> 3)) >> (7 - (bit & 7))) & 1) compatibility += 2 ** bit;
  }
  const constraints = [...config.subarray(6, 12)];
  while (constraints.at(-1) === 0) constraints.pop();
  const tier = (at(1) >> 5) & 1 ? "H" : "L";
  const parts = [`hvc1`, `${space}${at(1) & 31}`, compatibility.toString(16), `${tier}${at(12)}`];
  return [...parts, ...constraints.map((value) => value.toString(16).toUpperCase())].join(".");
}
