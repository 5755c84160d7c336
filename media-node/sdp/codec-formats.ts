import type { LocalCodec } from "./local-description.ts";

/** Our own numbers and parameters of each codec, as an offerer (OvenMediaEngine's payload types, delivery conventions). */
interface CodecFormat extends LocalCodec {
  readonly rtxPayloadType: number | undefined;
}

const videoFeedback = ["nack", "nack pli", "ccm fir", "goog-remb"];

function video(payloadType: number, encoding: string, fmtp: string): CodecFormat {
  return { payloadType, encoding, clockRate: 90_000, fmtp, feedback: videoFeedback, rtxPayloadType: payloadType + 1 };
}

function audio(payloadType: number, encoding: string, clockRate: number, channels: number | undefined, fmtp: string) {
  return { payloadType, encoding, clockRate, channels, fmtp, feedback: [], rtxPayloadType: undefined };
}

// Constrained baseline 3.1 is announced whatever the stream is: software decoders decline the true name of High, and
// play it under this one.
const formats: Readonly<Record<string, CodecFormat>> = {
  h264: video(98, "H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
  h265: video(100, "H265", h265Fmtp(1, 0, 93)),
  vp8: video(96, "VP8", ""),
  vp9: video(102, "VP9", vp9Fmtp(0)),
  av1: video(104, "AV1", av1Fmtp(0, 5, 0)),
  opus: audio(110, "opus", 48_000, 2, "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1"),
  pcmu: audio(0, "PCMU", 8_000, undefined, ""),
  pcma: audio(8, "PCMA", 8_000, undefined, ""),
};

/** RFC 7798 §7.1, as browsers match it. */
export function h265Fmtp(profile: number, tier: number, level: number): string {
  return `level-id=${level};profile-id=${profile};tier-flag=${tier};tx-mode=SRST`;
}

/** RFC 9628 §6. */
export function vp9Fmtp(profile: number): string {
  return `profile-id=${profile}`;
}

/** AOM's RTP payload format §7.2.1. @param level `seq_level_idx`: 5 = level 3.1 */
export function av1Fmtp(profile: number, level: number, tier: number): string {
  return `profile=${profile};level-idx=${level};tier=${tier}`;
}

/** Every feedback kind that a viewer may send and we act on. */
export const understoodFeedback: readonly string[] = videoFeedback;

/**
 * How our offers list `codec`; undefined for codecs that are not sent by WebRTC.
 * @param channels of the track: mono Opus says so
 */
export function formatOf(codec: string, channels = 2): LocalCodec | undefined {
  const format = formats[codec];
  if (format && codec === "opus" && channels === 1) return { ...format, fmtp: "minptime=10;useinbandfec=1;stereo=0" };
  return format;
}
