import { joinAnnexB } from "../../media-node/codecs/annex-b.ts";
import { avcConfigOf, serializeAvcConfig } from "../../media-node/codecs/h264.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import type { StreamDescription } from "../../media-node/core/stream.ts";
import type { Playlist, Track } from "../../media-node/core/track.ts";

/** Constrained baseline, 640×360. */
export const sps = Uint8Array.from(Buffer.from("Z0LAHtoCgL/lwFqDAwNSgAAAAwCAAAAeR4sXUA==", "base64"));
export const pps = Uint8Array.from(Buffer.from("aM48gA==", "base64"));

export const videoTrack: Track = {
  id: 0,
  kind: "video",
  codec: "h264",
  name: "bypass_video",
  timescale: 90_000,
  bitrate: 1_000_000,
  video: { width: 64, height: 64, framerate: 30 },
  decoderConfig: serializeAvcConfig(avcConfigOf([sps], [pps])),
};

export const opusTrack: Track = {
  id: 1,
  kind: "audio",
  codec: "opus",
  name: "bypass_audio",
  timescale: 48_000,
  bitrate: 64_000,
  audio: { sampleRate: 48_000, channels: 2 },
};

export function descriptionOf(tracks: readonly Track[], playlists: readonly Playlist[] = []): StreamDescription {
  return {
    tracks,
    playlists,
    epochMs: Date.UTC(2026, 0, 1),
    isEpochShared: true,
    originId: "origin",
    path: [],
  };
}

/** A picture of `bytes` bytes at `index` frames of 30 a second. */
export function videoSample(index: number, options: { isKeyframe?: boolean; bytes?: number; trackId?: number } = {}) {
  const { isKeyframe = false, bytes = 1_000, trackId = 0 } = options;
  const nal = Uint8Array.from({ length: bytes }, (_, i) => (i === 0 ? (isKeyframe ? 0x65 : 0x41) : (index % 100) + 1));
  const sample: Sample = {
    trackId,
    pts: index * 3_000,
    dts: index * 3_000,
    duration: 3_000,
    isKeyframe,
    data: joinAnnexB([nal]),
  };
  return sample;
}

/** 20 ms of sound. */
export function opusSample(index: number, trackId = 1): Sample {
  const data = Uint8Array.of(0xfc, index & 0xff, 1, 2, 3);
  return { trackId, pts: index * 960, dts: index * 960, duration: 960, isKeyframe: true, data };
}
