import { aacFrameSamples, parseAacConfig, serializeAacConfig } from "../codecs/aac.ts";
import type { Codec } from "../codecs/codec.ts";
import { avcConfigOf, nalType, nalTypeOf, parseSps, serializeAvcConfig } from "../codecs/h264.ts";
import type { Track, VideoFormat } from "../core/track.ts";
import { messageOf } from "../flow/errors.ts";
import { AacDepacketizer } from "../rtp/aac-depacketizer.ts";
import type { Depacketizer, EmitFrame } from "../rtp/depacketizer.ts";
import { H264Depacketizer } from "../rtp/h264-depacketizer.ts";
import { WholePacketDepacketizer } from "../rtp/whole-packet-depacketizer.ts";
import { attributeOf, formatParametersOf, rtpMapsOf, type RtpMap, type SdpMedia } from "../sdp/session-description.ts";
import type { SessionDescription } from "../sdp/session-description.ts";

/** One `m=` section we can play: what it is and how its packets become frames. */
export interface MediaPlan {
  /** Position of the `m=` section. */
  readonly mediaIndex: number;
  readonly payloadType: number;
  readonly clockRate: number;
  /** Control attribute as written. */
  readonly control: string | undefined;
  readonly track: Track;
  /** The encoder's most pictures that are decoded before, and shown after, another one; undefined = not said. */
  readonly reorderFrames: number | undefined;
  readonly createDepacketizer: (emit: EmitFrame) => Depacketizer;
}

/** One `m=` section we cannot play, and why. */
export interface IgnoredMedia {
  readonly mediaIndex: number;
  readonly kind: string;
  readonly encoding: string;
  readonly reason: string;
}

export interface SessionPlan {
  readonly media: readonly MediaPlan[];
  readonly ignored: readonly IgnoredMedia[];
}

/** Payload types with a fixed meaning (RFC 3551 table 4 and 5), as far as cameras still use them. */
const staticFormats: ReadonlyMap<number, Omit<RtpMap, "payloadType">> = new Map([
  [0, { encoding: "PCMU", clockRate: 8_000, channels: 1 }],
  [8, { encoding: "PCMA", clockRate: 8_000, channels: 1 }],
  [14, { encoding: "MPA", clockRate: 90_000, channels: undefined }],
  [26, { encoding: "JPEG", clockRate: 90_000, channels: undefined }],
  [33, { encoding: "MP2T", clockRate: 90_000, channels: undefined }],
]);

/** What a format contributes to its plan. */
interface Format {
  readonly codec: Codec;
  readonly track: Pick<Track, "video" | "audio" | "decoderConfig">;
  readonly reorderFrames?: number | undefined;
  readonly createDepacketizer: (emit: EmitFrame) => Depacketizer;
}

type ReadFormat = (map: RtpMap, parameters: ReadonlyMap<string, string>, media: SdpMedia) => Format;

/** By encoding name, upper case. */
const formats: ReadonlyMap<string, ReadFormat> = new Map<string, ReadFormat>([
  ["H264", readH264],
  ["MPEG4-GENERIC", readAac],
  ["OPUS", readOpus],
  ["PCMU", (map) => readG711("pcmu", map)],
  ["PCMA", (map) => readG711("pcma", map)],
]);

/** Which tracks of a description to play. The same description gives the same track ids on every connection. */
export function planSession(description: SessionDescription): SessionPlan {
  const media: MediaPlan[] = [];
  const ignored: IgnoredMedia[] = [];
  for (const [mediaIndex, section] of description.media.entries()) {
    const planned = planMedia(section, mediaIndex);
    if ("reason" in planned) ignored.push(planned);
    else media.push(planned);
  }
  return { media, ignored };
}

function planMedia(media: SdpMedia, mediaIndex: number): MediaPlan | IgnoredMedia {
  const refuse = (encoding: string, reason: string): IgnoredMedia => ({
    mediaIndex,
    kind: media.kind,
    encoding,
    reason,
  });
  if (media.kind !== "video" && media.kind !== "audio")
    return refuse(media.formats[0] ?? "", "it is no video or audio");
  const maps = formatsOf(media);
  const map = maps.find(({ encoding }) => formats.has(encoding.toUpperCase()));
  if (!map) return refuse(maps[0]?.encoding ?? "", "this codec is not supported");
  try {
    const format = formats.get(map.encoding.toUpperCase())!(map, formatParametersOf(media, map.payloadType), media);
    return {
      mediaIndex,
      payloadType: map.payloadType,
      clockRate: map.clockRate,
      control: attributeOf(media, "control"),
      reorderFrames: format.reorderFrames,
      createDepacketizer: format.createDepacketizer,
      track: {
        id: mediaIndex,
        kind: media.kind,
        codec: format.codec,
        name: media.kind === "video" ? "Video" : "Audio",
        timescale: map.clockRate,
        bitrate: 0,
        ...format.track,
      },
    };
  } catch (thrown) {
    return refuse(map.encoding, messageOf(thrown));
  }
}

/** The payload types of an `m=` line in its order, with what is known of them. */
function formatsOf(media: SdpMedia): RtpMap[] {
  const maps = rtpMapsOf(media).filter(({ clockRate }) => clockRate > 0);
  return media.formats.flatMap((text) => {
    const payloadType = Number.parseInt(text, 10);
    const known = maps.find((map) => map.payloadType === payloadType);
    const fixed = staticFormats.get(payloadType);
    return known ?? (fixed ? { payloadType, ...fixed } : []);
  });
}

function readH264(_map: RtpMap, parameters: ReadonlyMap<string, string>, media: SdpMedia): Format {
  if (parameters.get("packetization-mode") === "2") throw new Error("interleaved packetization is not supported");
  const sets = (parameters.get("sprop-parameter-sets") ?? "").split(",").map((text) => decodeBase64(text));
  const described = describeH264(sets, framerateOf(media));
  return {
    codec: "h264",
    track: described
      ? { video: described.video, decoderConfig: described.decoderConfig }
      : { video: { width: 0, height: 0, framerate: framerateOf(media) } },
    reorderFrames: described?.reorderFrames,
    createDepacketizer: (emit) => new H264Depacketizer(emit),
  };
}

/** What parameter sets say of a track. */
export interface VideoDescription {
  readonly video: VideoFormat;
  readonly decoderConfig: Uint8Array;
  readonly reorderFrames: number | undefined;
}

/** What a stream's own parameter sets say; undefined while they are incomplete or unreadable. */
export function describeParameterSets(track: Track, nals: readonly Uint8Array[]): VideoDescription | undefined {
  return track.codec === "h264" ? describeH264(nals, track.video?.framerate ?? 0) : undefined;
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

function distinct(nals: readonly Uint8Array[]): Uint8Array[] {
  return nals.filter((nal, index) => nals.findIndex((other) => haveSameBytes(other, nal)) === index);
}

export function haveSameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (!a || !b) return a === b;
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function framerateOf(media: SdpMedia): number {
  const framerate = Number.parseFloat(attributeOf(media, "framerate") ?? "");
  return framerate > 0 && framerate <= 1_000 ? framerate : 0;
}

function readAac(map: RtpMap, parameters: ReadonlyMap<string, string>): Format {
  const mode = parameters.get("mode")?.toLowerCase() ?? "aac-hbr";
  const number = (name: string, fallback = 0): number => {
    const text = parameters.get(name);
    if (text === undefined) return fallback;
    const value = Number(text);
    if (!Number.isInteger(value) || value < 0 || value > 32) throw new Error(`${name} is out of range`);
    return value;
  };
  // RFC 3640 §3.3.5, §3.3.6: the two modes fix these; cameras leave them out.
  const isLow = mode === "aac-lbr";
  const written = decodeHex(parameters.get("config") ?? "");
  const decoderConfig =
    written ?? serializeAacConfig({ objectType: 2, sampleRate: map.clockRate, channels: map.channels ?? 2 });
  const { sampleRate, channels } = parseAacConfig(decoderConfig);
  const payloadFormat = {
    sizeLength: number("sizelength", isLow ? 6 : 13),
    indexLength: number("indexlength", isLow ? 2 : 3),
    indexDeltaLength: number("indexdeltalength", isLow ? 2 : 3),
    ctsDeltaLength: number("ctsdeltalength"),
    dtsDeltaLength: number("dtsdeltalength"),
    hasRandomAccessFlag: number("randomaccessindication") > 0,
    streamStateLength: number("streamstateindication"),
    auxiliarySizeLength: number("auxiliarydatasizelength"),
    constantSize: 0,
    frameTicks: Math.round((aacFrameSamples * map.clockRate) / sampleRate),
  };
  return {
    codec: "aac",
    track: { audio: { sampleRate, channels: channels === 7 ? 8 : channels || map.channels || 2 }, decoderConfig },
    createDepacketizer: (emit) => new AacDepacketizer(payloadFormat, emit),
  };
}

function readOpus(map: RtpMap): Format {
  return {
    codec: "opus",
    // RFC 7587 §7: the map always says 48000/2; the stream itself tells mono from stereo.
    track: { audio: { sampleRate: map.clockRate, channels: map.channels ?? 2 } },
    createDepacketizer: (emit) => new WholePacketDepacketizer(emit),
  };
}

function readG711(codec: "pcmu" | "pcma", map: RtpMap): Format {
  return {
    codec,
    track: { audio: { sampleRate: map.clockRate, channels: map.channels ?? 1 } },
    createDepacketizer: (emit) => new WholePacketDepacketizer(emit),
  };
}

function decodeBase64(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text.trim(), "base64"));
}

function decodeHex(text: string): Uint8Array | undefined {
  return /^([0-9a-f]{2}){2,64}$/i.test(text) ? new Uint8Array(Buffer.from(text, "hex")) : undefined;
}
