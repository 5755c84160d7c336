import { parseAacConfig } from "../codecs/aac.ts";
import { av1ConfigOf, parseAv1Config } from "../codecs/av1.ts";
import { splitAnnexB } from "../codecs/annex-b.ts";
import { avcConfigOf, nalType, nalTypeOf, parseAvcConfig, parseSps, serializeAvcConfig } from "../codecs/h264.ts";
import {
  h265NalType,
  h265NalTypeOf,
  hvcConfigOf,
  parseH265Sps,
  parseHvcConfig,
  serializeHvcConfig,
} from "../codecs/h265.ts";
import { opusClockRate } from "../codecs/opus.ts";
import { vp9ConfigOf, vp9KeyFrame } from "../codecs/vp9.ts";
import { codecString } from "../cmaf/codec-string.ts";
import { isCmafCodec, type CmafCodec, type CmafTrack } from "../cmaf/cmaf-track.ts";
import type { Sample } from "../core/sample.ts";
import type { Track } from "../core/track.ts";
import { isTsCodec, type TsCodec } from "../mpegts/ts-track.ts";

/** Longest AudioSpecificConfig taken; the longest in use has fewer than 64 bytes. */
const maxAudioConfig = 64;

/** What samples are put into: fragmented MP4, a track a file, or MPEG-TS with both tracks in one. */
export type Packaging = "fmp4" | "mpegts";

/** A track as either packaging describes it; subtitles are texts in files of their own. */
export type OutputTrack = Omit<CmafTrack, "codec" | "kind"> &
  (
    | { readonly kind: "video" | "audio"; readonly codec: CmafCodec | TsCodec }
    | { readonly kind: "subtitle"; readonly codec: "webvtt" }
  );

/** Whether this room delivers tracks of this kind at all. */
export function isDeliverable(track: Track, packaging: Packaging): boolean {
  const isCodec = packaging === "fmp4" ? isCmafCodec : isTsCodec;
  return (track.kind === "video" || track.kind === "audio") && isCodec(track.codec);
}

/** The codec as a playlist names it (RFC 6381). */
export function codecsOf(track: OutputTrack): string {
  return isCmafTrack(track) ? codecString(track) : track.codec === "mp3" ? "mp4a.40.34" : "";
}

export function isCmafTrack(track: OutputTrack): track is CmafTrack {
  return isCmafCodec(track.codec);
}

/** A source's track as its packaging describes it; what is said of {@link cmafTrackOf} holds. */
export function outputTrackOf(track: Track, keyframe?: Sample): OutputTrack | undefined {
  if (track.codec !== "mp3") return cmafTrackOf(track, keyframe);
  const { sampleRate = 48_000, channels = 2 } = track.audio ?? {};
  const { timescale } = track;
  const decoderConfig = new Uint8Array();
  return { kind: "audio", codec: "mp3", timescale, decoderConfig, width: 0, height: 0, sampleRate, channels };
}

/**
 * A source's track as fragmented MP4 describes it.
 * @param keyframe looked into for parameter sets when the track has no decoder configuration
 * @returns undefined when the decoder configuration is not known yet
 * @throws {ProtocolError} when it is broken
 */
function cmafTrackOf(track: Track, keyframe?: Sample): CmafTrack | undefined {
  if (track.codec === "h264") return avcTrack(track, track.decoderConfig ?? avcConfigIn(keyframe));
  if (track.codec === "h265") return hevcTrack(track, track.decoderConfig ?? hvcConfigIn(keyframe));
  if (track.codec === "av1") return av1Track(track, track.decoderConfig ?? (keyframe && av1ConfigOf(keyframe.data)));
  if (track.codec === "vp9") return vp9Track(track, keyframe);
  if (track.codec === "aac") return aacTrack(track);
  if (track.codec === "opus") return opusTrack(track);
  return undefined;
}

/** The record made of the parameter sets in an access unit; undefined when one is missing. */
function avcConfigIn(keyframe: Sample | undefined): Uint8Array | undefined {
  const nals = keyframe ? splitAnnexB(keyframe.data) : [];
  const ofType = (type: number): Uint8Array[] => nals.filter((nal) => nalTypeOf(nal[0]!) === type);
  const sps = ofType(nalType.sps);
  const pps = ofType(nalType.pps);
  return sps.length > 0 && pps.length > 0 ? serializeAvcConfig(avcConfigOf(sps, pps)) : undefined;
}

function hvcConfigIn(keyframe: Sample | undefined): Uint8Array | undefined {
  const nals = keyframe ? splitAnnexB(keyframe.data) : [];
  const ofType = (type: number): Uint8Array[] => nals.filter((nal) => h265NalTypeOf(nal[0]!) === type);
  const vps = ofType(h265NalType.vps);
  const sps = ofType(h265NalType.sps);
  const pps = ofType(h265NalType.pps);
  const isWhole = vps.length > 0 && sps.length > 0 && pps.length > 0;
  return isWhole ? serializeHvcConfig(hvcConfigOf(vps, sps, pps)) : undefined;
}

function avcTrack(track: Track, config: Uint8Array | undefined): CmafTrack | undefined {
  if (!config) return undefined;
  const avc = parseAvcConfig(config);
  const sps = avc.sps[0];
  if (!sps) return undefined;
  const { width, height } = parseSps(sps);
  // Samples are written with 4-byte lengths, whatever the source used.
  const decoderConfig = serializeAvcConfig({ ...avc, lengthSize: 4 });
  return video(track, "h264", decoderConfig, width, height);
}

function hevcTrack(track: Track, record: Uint8Array | undefined): CmafTrack | undefined {
  if (!record) return undefined;
  const config = parseHvcConfig(record);
  const sps = config.arrays.find(({ nalType }) => nalType === h265NalType.sps)?.nals[0];
  if (!sps) return undefined;
  const { width, height } = parseH265Sps(sps);
  // hvc1 promises that every parameter set stands here (ISO 14496-15 §8.4.1.1).
  const arrays = config.arrays.map((array) => ({ ...array, isComplete: true }));
  return video(track, "h265", serializeHvcConfig({ ...config, arrays, lengthSize: 4 }), width, height);
}

function av1Track(track: Track, config: Uint8Array | undefined): CmafTrack | undefined {
  if (!config) return undefined;
  const { width, height } = parseAv1Config(config);
  return video(track, "av1", config, width, height);
}

function vp9Track(track: Track, keyframe: Sample | undefined): CmafTrack | undefined {
  const config = track.decoderConfig ?? (keyframe && vp9ConfigOf(keyframe.data));
  const size = (keyframe && vp9KeyFrame(keyframe.data)) ?? track.video;
  return config && size && video(track, "vp9", config, size.width, size.height);
}

function video(
  { timescale }: Track,
  codec: "h264" | "h265" | "av1" | "vp9",
  decoderConfig: Uint8Array,
  width: number,
  height: number,
): CmafTrack {
  return { kind: "video", codec, timescale, decoderConfig, width, height, sampleRate: 0, channels: 0 };
}

function aacTrack({ timescale, decoderConfig, audio }: Track): CmafTrack | undefined {
  if (!decoderConfig || decoderConfig.length > maxAudioConfig) return undefined;
  const config = parseAacConfig(decoderConfig);
  const channels = config.channels || audio?.channels || 2;
  const { sampleRate } = config;
  return { kind: "audio", codec: "aac", timescale, decoderConfig, width: 0, height: 0, sampleRate, channels };
}

function opusTrack({ timescale, audio }: Track): CmafTrack {
  return {
    kind: "audio",
    codec: "opus",
    timescale,
    decoderConfig: new Uint8Array(),
    width: 0,
    height: 0,
    sampleRate: audio?.sampleRate ?? opusClockRate,
    // Mapping family 0 knows mono and stereo.
    channels: audio?.channels === 1 ? 1 : 2,
  };
}
