import { createFile, MP4BoxBuffer } from "mp4box";
import { joinAnnexB } from "../codecs/annex-b.ts";
import { avcConfigOf, hasIdr, serializeAvcConfig } from "../codecs/h264.ts";
import type { Track } from "../core/track.ts";
import { ProtocolError } from "../flow/errors.ts";

/** One sample of a clip; times in ticks of its track from the clip's start. */
export interface ClipSample {
  readonly trackId: number;
  readonly pts: number;
  readonly dts: number;
  readonly duration: number;
  /** Milliseconds from the clip's start at which it is due. */
  readonly dueMs: number;
  readonly isKeyframe: boolean;
  readonly data: Uint8Array;
}

/** A whole file in memory, ready to be played over and over. */
export interface Clip {
  readonly tracks: readonly Track[];
  /** Ascending by `dueMs`. */
  readonly samples: readonly ClipSample[];
  readonly durationMs: number;
}

/** A clip is kept in memory, so it has to be short. */
export const maxClipBytes = 64 * 1024 * 1024;

type Mp4File = ReturnType<typeof createFile>;
type Mp4Track = ReturnType<Mp4File["getInfo"]>["tracks"][number];

/**
 * Reads H.264, AAC and Opus tracks of an MP4 file; others are left out.
 * @throws {ProtocolError} when `bytes` hold no MP4 with a track of these kinds
 */
export function parseMp4Clip(bytes: Uint8Array<ArrayBuffer>): Clip {
  if (bytes.length > maxClipBytes)
    throw new ProtocolError("MP4_TOO_LARGE", `the clip is larger than ${maxClipBytes} bytes`);
  const { file, tracks } = readTracks(bytes);
  const read = tracks.flatMap((track, id) => {
    const parsed = readTrack(file, track, id, bytes);
    return parsed ? [parsed] : [];
  });
  if (read.length === 0) throw new ProtocolError("MP4_NO_TRACK", "the file has no H.264, AAC or Opus track");
  return {
    tracks: read.map(({ track }) => track),
    samples: read.flatMap(({ samples }) => samples).sort((a, b) => a.dueMs - b.dueMs),
    durationMs: Math.max(...read.map(({ durationMs }) => durationMs)),
  };
}

function readTracks(bytes: Uint8Array<ArrayBuffer>): { file: Mp4File; tracks: Mp4Track[] } {
  const file = createFile(true);
  let tracks: Mp4Track[] | undefined;
  file.onReady = (info) => (tracks = info.tracks);
  try {
    const whole = bytes.slice();
    file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(whole.buffer, 0));
    file.flush();
  } catch (cause) {
    throw new ProtocolError("MP4_UNREADABLE", "the file is no readable MP4", { cause });
  }
  if (!tracks) throw new ProtocolError("MP4_UNREADABLE", "the file is no readable MP4: it has no movie header");
  return { file, tracks };
}

interface ReadTrack {
  readonly track: Track;
  readonly samples: ClipSample[];
  readonly durationMs: number;
}

function readTrack(file: Mp4File, info: Mp4Track, id: number, bytes: Uint8Array): ReadTrack | undefined {
  const table = file.getTrackSamplesInfo(info.id);
  const entry = file.getTrackById(info.id)?.mdia.minf.stbl.stsd.entries[0] as SampleEntry | undefined;
  const last = table.at(-1);
  if (!entry || !last) return undefined;
  const format = formatOf(info, entry, table.length);
  if (!format) return undefined;
  const durationMs = ((last.dts + last.duration) / info.timescale) * 1000;
  const samples = table.map(({ offset, size, dts, cts, duration }): ClipSample => {
    const stored = bytes.subarray(offset, offset + size);
    if (stored.length !== size) throw new ProtocolError("MP4_TRUNCATED", "the file ends before its last sample");
    const { data, isKeyframe } = format.toSample(stored);
    return { trackId: id, pts: cts, dts, duration, dueMs: (dts / info.timescale) * 1000, isKeyframe, data };
  });
  const byteCount = samples.reduce((sum, { data }) => sum + data.length, 0);
  const bitrate = Math.round((byteCount * 8000) / durationMs);
  return { track: { id, timescale: info.timescale, bitrate, ...format.track }, samples, durationMs };
}

/** The few members of mp4box's sample entries that are read here. */
interface SampleEntry {
  readonly avcC?: {
    readonly lengthSizeMinusOne: number;
    readonly SPS: readonly { readonly data: Uint8Array }[];
    readonly PPS: readonly { readonly data: Uint8Array }[];
  };
  readonly esds?: { readonly esd: Mp4Descriptor };
}

interface Mp4Descriptor {
  readonly tag: number;
  readonly descs?: readonly Mp4Descriptor[];
  readonly data?: Uint8Array;
}

interface Format {
  readonly track: Omit<Track, "id" | "timescale" | "bitrate">;
  toSample(stored: Uint8Array): { data: Uint8Array; isKeyframe: boolean };
}

function formatOf(info: Mp4Track, entry: SampleEntry, sampleCount: number): Format | undefined {
  if (entry.avcC && info.video) return h264Format(info, entry.avcC, sampleCount);
  const { audio } = info;
  if (!audio) return undefined;
  const toSample = (stored: Uint8Array) => ({ data: stored.slice(), isKeyframe: true });
  const format = { sampleRate: audio.sample_rate, channels: audio.channel_count };
  if (info.codec.toLowerCase() === "opus") {
    return { track: { kind: "audio", codec: "opus", name: "Audio", audio: format }, toSample };
  }
  const decoderConfig = entry.esds && descriptorData(entry.esds.esd);
  if (!info.codec.startsWith("mp4a.40") || !decoderConfig) return undefined;
  return { track: { kind: "audio", codec: "aac", name: "Audio", audio: format, decoderConfig }, toSample };
}

function h264Format(info: Mp4Track, avcC: NonNullable<SampleEntry["avcC"]>, sampleCount: number): Format {
  const sps = avcC.SPS.map(({ data }) => data);
  const pps = avcC.PPS.map(({ data }) => data);
  const seconds = info.samples_duration / info.timescale;
  const { width, height } = info.video!;
  return {
    track: {
      kind: "video",
      codec: "h264",
      name: "Video",
      video: { width, height, framerate: seconds > 0 ? sampleCount / seconds : 0 },
      decoderConfig: serializeAvcConfig(avcConfigOf(sps, pps)),
    },
    toSample(stored) {
      const nals = splitLengthPrefixed(stored, avcC.lengthSizeMinusOne + 1);
      const isKeyframe = hasIdr(joinAnnexB(nals));
      return { data: joinAnnexB(isKeyframe ? [...sps, ...pps, ...nals] : nals), isKeyframe };
    },
  };
}

function splitLengthPrefixed(stored: Uint8Array, lengthSize: number): Uint8Array[] {
  const nals: Uint8Array[] = [];
  for (let at = 0; at < stored.length;) {
    let length = 0;
    for (let i = 0; i < lengthSize; i++) length = length * 256 + (stored[at + i] ?? 0);
    at += lengthSize;
    if (at + length > stored.length) throw new ProtocolError("MP4_NAL", "a NAL unit is longer than its sample");
    nals.push(stored.subarray(at, at + length));
    at += length;
  }
  return nals;
}

/** The AudioSpecificConfig inside an elementary stream descriptor: tag 5 (ISO 14496-1 §7.2.6.7). */
function descriptorData(descriptor: Mp4Descriptor): Uint8Array | undefined {
  if (descriptor.tag === 5) return descriptor.data?.slice();
  for (const inner of descriptor.descs ?? []) {
    const found = descriptorData(inner);
    if (found) return found;
  }
  return undefined;
}
