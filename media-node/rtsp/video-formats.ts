import { haveSameBytes } from "../bytes/same-bytes.ts";
import { av1ConfigOf, av1SequenceOf } from "../codecs/av1.ts";
import { splitAnnexB } from "../codecs/annex-b.ts";
import { avcConfigOf, nalType, nalTypeOf, parseSps, serializeAvcConfig } from "../codecs/h264.ts";
import { h265NalType, h265NalTypeOf, hvcConfigOf, parseH265Sps, serializeHvcConfig } from "../codecs/h265.ts";
import { vp9ConfigOf, vp9KeyFrame } from "../codecs/vp9.ts";
import type { Track, VideoFormat } from "../core/track.ts";
import { Av1Depacketizer } from "../rtp/av1-depacketizer.ts";
import { H264Depacketizer } from "../rtp/h264-depacketizer.ts";
import { H265Depacketizer } from "../rtp/h265-depacketizer.ts";
import { startsWithStartCode } from "../rtp/nal-depacketizer.ts";
import { Vp8Depacketizer, vp8FrameSize } from "../rtp/vp8-depacketizer.ts";
import { Vp9Depacketizer } from "../rtp/vp9-depacketizer.ts";
import { attributeOf, type SdpMedia } from "../sdp/session-description.ts";
import type { Codec } from "../codecs/codec.ts";
import type { MediaFormat, ReadFormat } from "./media-plan.ts";

/** What a video stream says of itself in band. */
export interface VideoDescription {
  readonly video: VideoFormat;
  /** Absent for codecs without one. */
  readonly decoderConfig?: Uint8Array;
  readonly reorderFrames: number | undefined;
}

export const readH264: ReadFormat = (_map, parameters, media) => {
  if (parameters.get("packetization-mode") === "2") throw new Error("interleaved packetization is not supported");
  const sets = decodeSets(parameters.get("sprop-parameter-sets"));
  const format = describedFormat(describeH264(sets, framerateOf(media)), media);
  return { ...format, codec: "h264", createDepacketizer: (emit) => new H264Depacketizer(emit) };
};

export const readH265: ReadFormat = (_map, parameters, media) => {
  if (Number(parameters.get("sprop-max-don-diff") ?? 0) > 0)
    throw new Error("interleaved packetization is not supported");
  const sets = ["sprop-vps", "sprop-sps", "sprop-pps"].flatMap((name) => decodeSets(parameters.get(name)));
  const format = describedFormat(describeH265(sets, framerateOf(media)), media);
  return { ...format, codec: "h265", createDepacketizer: (emit) => new H265Depacketizer(emit) };
};

export const readVp8: ReadFormat = (_map, _parameters, media) => ({
  ...describedFormat(undefined, media),
  reorderFrames: 0,
  codec: "vp8",
  createDepacketizer: (emit) => new Vp8Depacketizer(emit),
});

/** RFC 9628 §6. */
export const readVp9: ReadFormat = (_map, _parameters, media) => ({
  ...describedFormat(undefined, media),
  reorderFrames: 0,
  codec: "vp9",
  createDepacketizer: (emit) => new Vp9Depacketizer(emit),
});

/** AOM's RTP payload format §7. A temporal unit shows one picture, so nothing is reordered. */
export const readAv1: ReadFormat = (_map, _parameters, media) => ({
  ...describedFormat(undefined, media),
  reorderFrames: 0,
  codec: "av1",
  createDepacketizer: (emit) => new Av1Depacketizer(emit),
});

function describedFormat(
  described: VideoDescription | undefined,
  media: SdpMedia,
): Pick<MediaFormat, "track" | "reorderFrames"> {
  if (!described) return { track: { video: { width: 0, height: 0, framerate: framerateOf(media) } } };
  const { video, decoderConfig, reorderFrames } = described;
  return { track: { video, ...(decoderConfig && { decoderConfig }) }, reorderFrames };
}

/** Codecs whose key frames tell their size, which the description does not. */
const sizeOf: Readonly<Partial<Record<Codec, (frame: Uint8Array) => { width: number; height: number } | undefined>>> = {
  vp8: vp8FrameSize,
  vp9: vp9KeyFrame,
  av1: av1SequenceOf,
};

/** What is kept of a key frame for who writes it into MP4: av1C, vpcC. */
const recordOf: Readonly<Partial<Record<Codec, (frame: Uint8Array) => Uint8Array | undefined>>> = {
  vp9: vp9ConfigOf,
  av1: av1ConfigOf,
};

/** Whether a track cannot be decoded before the stream itself has told more. */
export function isIncomplete({ codec, decoderConfig, video }: Track): boolean {
  if (codec === "h264" || codec === "h265" || codec === "aac") return decoderConfig === undefined;
  return sizeOf[codec] !== undefined && video?.width === 0;
}

/**
 * What a key frame says of its track; undefined where that is nothing new, incomplete or unreadable.
 * @param parameterSets VPS, SPS and PPS units of the frame
 */
export function describeKeyframe(
  { codec, video, decoderConfig }: Track,
  parameterSets: readonly Uint8Array[] | undefined,
  data: Uint8Array,
): VideoDescription | undefined {
  const framerate = video?.framerate ?? 0;
  if (sizeOf[codec]) {
    const size = sizeOf[codec](data);
    const record = recordOf[codec]?.(data)?.slice();
    if (!size) return undefined;
    const { width, height } = size;
    const isNew = width !== video?.width || height !== video.height;
    if (!isNew && (!record || haveSameBytes(record, decoderConfig))) return undefined;
    return { video: { width, height, framerate }, ...(record && { decoderConfig: record }), reorderFrames: 0 };
  }
  if (!parameterSets) return undefined;
  const described = codec === "h265" ? describeH265(parameterSets, framerate) : describeH264(parameterSets, framerate);
  return haveSameBytes(described?.decoderConfig, decoderConfig) ? undefined : described;
}

/** @param framerate for sets that do not say one */
function describeH264(nals: readonly Uint8Array[], framerate: number): VideoDescription | undefined {
  const sps = distinct(nals.filter((nal) => nal.length > 3 && nalTypeOf(nal[0]!) === nalType.sps)).slice(0, 31);
  const pps = distinct(nals.filter((nal) => nal.length > 1 && nalTypeOf(nal[0]!) === nalType.pps)).slice(0, 255);
  if (sps.length === 0 || pps.length === 0) return undefined;
  try {
    const info = parseSps(sps[0]!);
    const hasRate = info.framerate > 0 && info.framerate <= 1_000;
    return {
      video: { width: info.width, height: info.height, framerate: hasRate ? info.framerate : framerate },
      decoderConfig: serializeAvcConfig(avcConfigOf(sps, pps)).slice(),
      // Baseline has no B pictures, whatever its VUI leaves out.
      reorderFrames: info.profile === 66 ? 0 : info.reorderFrames,
    };
  } catch {
    return undefined;
  }
}

function describeH265(nals: readonly Uint8Array[], framerate: number): VideoDescription | undefined {
  const ofType = (type: number): Uint8Array[] =>
    distinct(nals.filter((nal) => nal.length > 2 && h265NalTypeOf(nal[0]!) === type)).slice(0, 64);
  const [vps, sps, pps] = [ofType(h265NalType.vps), ofType(h265NalType.sps), ofType(h265NalType.pps)];
  if (sps.length === 0 || pps.length === 0) return undefined;
  try {
    const { width, height, reorderFrames } = parseH265Sps(sps[0]!);
    const decoderConfig = serializeHvcConfig(hvcConfigOf(vps, sps, pps)).slice();
    return { video: { width, height, framerate }, decoderConfig, reorderFrames };
  } catch {
    return undefined;
  }
}

function decodeSets(text: string | undefined): Uint8Array[] {
  return (text ?? "").split(",").flatMap((set) => {
    const bytes = new Uint8Array(Buffer.from(set.trim(), "base64"));
    // Some cameras leave the start code in front, or put several units into one.
    return startsWithStartCode(bytes) ? splitAnnexB(bytes) : [bytes];
  });
}

function distinct(nals: readonly Uint8Array[]): Uint8Array[] {
  return nals.filter((nal, index) => nals.findIndex((other) => haveSameBytes(other, nal)) === index);
}

function framerateOf(media: SdpMedia): number {
  const framerate = Number.parseFloat(attributeOf(media, "framerate") ?? "");
  return framerate > 0 && framerate <= 1_000 ? framerate : 0;
}
