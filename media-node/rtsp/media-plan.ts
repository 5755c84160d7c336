import type { Codec } from "../codecs/codec.ts";
import type { Track } from "../core/track.ts";
import { messageOf } from "../flow/errors.ts";
import type { Depacketizer, EmitFrame } from "../rtp/depacketizer.ts";
import {
  attributeOf,
  formatParametersOf,
  rtpMapsOf,
  type RtpMap,
  type SdpMedia,
  type SessionDescription,
} from "../sdp/session-description.ts";
import { readAac, readG711, readLatm, readMp3, readOpus } from "./audio-formats.ts";
import { readAv1, readH264, readH265, readVp8, readVp9 } from "./video-formats.ts";

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
  /** `RTP/AVPF` where the server says so (RFC 4585): some refuse to be asked for another. */
  readonly profile: "RTP/AVP" | "RTP/AVPF";
  /** How the server says that it takes a wish for a key frame; undefined = it does not. */
  readonly keyframeRequest: "pli" | "fir" | undefined;
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

/** Payload types with a fixed meaning (RFC 3551 table 4 and 5): those played, and those that an operator wants to see named. */
const staticFormats: ReadonlyMap<number, Omit<RtpMap, "payloadType">> = new Map([
  [0, { encoding: "PCMU", clockRate: 8_000, channels: 1 }],
  [3, { encoding: "GSM", clockRate: 8_000, channels: 1 }],
  [4, { encoding: "G723", clockRate: 8_000, channels: 1 }],
  [8, { encoding: "PCMA", clockRate: 8_000, channels: 1 }],
  [9, { encoding: "G722", clockRate: 8_000, channels: 1 }],
  [10, { encoding: "L16", clockRate: 44_100, channels: 2 }],
  [11, { encoding: "L16", clockRate: 44_100, channels: 1 }],
  [14, { encoding: "MPA", clockRate: 90_000, channels: undefined }],
  [18, { encoding: "G729", clockRate: 8_000, channels: 1 }],
  [26, { encoding: "JPEG", clockRate: 90_000, channels: undefined }],
  [32, { encoding: "MPV", clockRate: 90_000, channels: undefined }],
  [33, { encoding: "MP2T", clockRate: 90_000, channels: undefined }],
  [34, { encoding: "H263", clockRate: 90_000, channels: undefined }],
]);

/** What a format contributes to its plan. */
export interface MediaFormat {
  readonly codec: Codec;
  readonly track: Pick<Track, "video" | "audio" | "decoderConfig">;
  readonly reorderFrames?: number | undefined;
  readonly createDepacketizer: (emit: EmitFrame) => Depacketizer;
}

/** Reads one payload type's parameters; throws with a reason when it cannot be played. */
export type ReadFormat = (map: RtpMap, parameters: ReadonlyMap<string, string>, media: SdpMedia) => MediaFormat;

/** By encoding name, upper case. */
const formats: ReadonlyMap<string, ReadFormat> = new Map<string, ReadFormat>([
  ["H264", readH264],
  ["H265", readH265],
  ["HEVC", readH265],
  ["VP8", readVp8],
  ["VP9", readVp9],
  ["AV1", readAv1],
  ["MPEG4-GENERIC", readAac],
  ["MP4A-LATM", readLatm],
  ["MPA", readMp3],
  ["OPUS", readOpus],
  ["PCMU", readG711],
  ["PCMA", readG711],
]);

/**
 * Which tracks of a description to play. Pictures have even ids and sound odd ones, counted by kind: servers such as VLC
 * list their tracks in another order after each restart, and viewers' tracks must stay what they were.
 */
export function planSession(description: SessionDescription): SessionPlan {
  const media: MediaPlan[] = [];
  const ignored: IgnoredMedia[] = [];
  const nextId = { video: 0, audio: 1 };
  for (const [mediaIndex, section] of description.media.entries()) {
    const kind = section.kind === "audio" ? "audio" : "video";
    const isBackChannel = isForTalking(section, description);
    const planned = isBackChannel ? backChannel(section, mediaIndex) : planMedia(section, mediaIndex, nextId[kind]);
    if (section.kind === kind && !isBackChannel) nextId[kind] += 2;
    if ("reason" in planned) ignored.push(planned);
    else media.push(planned);
  }
  return { media, ignored };
}

/**
 * Cameras that one can talk to describe the sound they want as `sendonly`, with our eyes (ONVIF Streaming §5.3). Others mark all that
 * they send so, with theirs.
 */
function isForTalking({ kind, attributes }: SdpMedia, { media }: SessionDescription): boolean {
  const isSendOnly = ({ attributes }: Pick<SdpMedia, "attributes">): boolean =>
    attributes.some(({ key }) => key === "sendonly");
  return kind === "audio" && isSendOnly({ attributes }) && !media.every(isSendOnly);
}

const backChannel = (media: SdpMedia, mediaIndex: number): IgnoredMedia => ({
  mediaIndex,
  kind: media.kind,
  encoding: encodingOf(media),
  reason: "it is a back channel, for sound that the camera is to play",
});

/** As an operator knows it. */
const encodingOf = (media: SdpMedia): string =>
  formatsOf(media)[0]?.encoding ?? `payload type ${media.formats[0] ?? "?"}`;

function planMedia(media: SdpMedia, mediaIndex: number, id: number): MediaPlan | IgnoredMedia {
  const refuse = (encoding: string, reason: string): IgnoredMedia => ({
    mediaIndex,
    kind: media.kind,
    encoding,
    reason,
  });
  if (media.kind !== "video" && media.kind !== "audio") return refuse(encodingOf(media), "it is no video or audio");
  const maps = formatsOf(media);
  const map = maps.find(({ encoding }) => formats.has(encoding.toUpperCase()));
  if (!map) {
    const why =
      maps.length > 0 ? "this codec is not supported" : "the description does not say which codec it is (no rtpmap)";
    return refuse(encodingOf(media), why);
  }
  try {
    const format = formats.get(map.encoding.toUpperCase())!(map, formatParametersOf(media, map.payloadType), media);
    return {
      mediaIndex,
      payloadType: map.payloadType,
      clockRate: map.clockRate,
      control: attributeOf(media, "control"),
      profile: isFeedback(media) ? "RTP/AVPF" : "RTP/AVP",
      keyframeRequest: media.kind === "video" ? keyframeRequestOf(media, map.payloadType) : undefined,
      reorderFrames: format.reorderFrames,
      createDepacketizer: format.createDepacketizer,
      track: {
        id,
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

const isFeedback = ({ protocol }: SdpMedia): boolean => protocol.toUpperCase().startsWith("RTP/AVPF");

/** RFC 4585 §4.2, RFC 5104 §7.1: what is listed; a server of that profile that lists nothing may know the oldest of them. */
function keyframeRequestOf(media: SdpMedia, payloadType: number): "pli" | "fir" | undefined {
  const feedback = media.attributes
    .filter(({ key }) => key === "rtcp-fb")
    .map(({ value = "" }) => value.trim().split(/\s+/))
    .filter(([type]) => type === "*" || type === String(payloadType))
    .map((words) => words.slice(1).join(" ").toLowerCase());
  if (feedback.includes("nack pli")) return "pli";
  if (feedback.includes("ccm fir")) return "fir";
  return isFeedback(media) && feedback.length === 0 ? "pli" : undefined;
}
