import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { joinAnnexB } from "../../media-node/codecs/annex-b.ts";
import { serializeAacConfig } from "../../media-node/codecs/aac.ts";
import { serializeCueSample } from "../../media-node/codecs/webvtt.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import type { Track } from "../../media-node/core/track.ts";

const run = promisify(execFile);

/** A few seconds of media as a source would deliver them, ordered by decoding time, starting at 0. */
export interface Clip {
  readonly tracks: readonly Track[];
  readonly samples: readonly Sample[];
  readonly durationMs: number;
}

export interface ClipOptions {
  readonly seconds: number;
  readonly framerate?: number;
  /** Frames from key frame to key frame. */
  readonly gop?: number;
  readonly size?: string;
  readonly videoArgs?: readonly string[];
  /** Default H.264. */
  readonly video?: "h264" | "h265" | "av1" | "vp9";
  readonly hasVideo?: boolean;
  readonly audio?: "aac" | "opus" | "none";
}

interface ProbedStream {
  readonly codec_type: string;
  readonly codec_name: string;
  readonly time_base: string;
  readonly width: number;
  readonly height: number;
}

interface ProbedPacket {
  readonly stream_index: number;
  readonly pts: number;
  readonly dts: number;
  readonly duration?: number;
  readonly size: string;
  readonly pos: string;
  readonly flags: string;
}

const encoders: Record<NonNullable<ClipOptions["video"]>, readonly string[]> = {
  h264: ["libx264", "-preset", "veryfast"],
  h265: ["libx265", "-x265-params", "log-level=error", "-preset", "veryfast"],
  av1: ["libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-row-mt", "1"],
  vp9: ["libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-row-mt", "1"],
};

/** Makes a test picture and a tone with ffmpeg. Rejects where ffmpeg is missing. */
export async function makeClip(options: ClipOptions): Promise<Clip> {
  const { seconds, framerate = 30, gop = framerate, size = "320x180", audio = "aac", hasVideo = true } = options;
  const folder = await mkdtemp(join(tmpdir(), "hearth-clip-"));
  try {
    const file = join(folder, "clip.mp4");
    const { video: wanted = "h264" } = options;
    const video = ["-c:v", ...encoders[wanted], "-pix_fmt", "yuv420p", "-g", String(gop)];
    const baseline = ["-profile:v", "baseline", "-bf", "0", "-sc_threshold", "0", "-b:v", "500k"];
    const codec = options.videoArgs ?? (wanted === "h264" ? baseline : ["-b:v", "500k"]);
    const inputs = [
      ...(hasVideo ? ["-f", "lavfi", "-i", `testsrc2=size=${size}:rate=${framerate}`] : []),
      ...(audio === "none" ? [] : ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]),
    ];
    const audioCodec = ["-c:a", audio === "opus" ? "libopus" : "aac", "-ac", "2", "-b:a", "96k"];
    const outputs = [...(hasVideo ? [...video, ...codec] : []), ...(audio === "none" ? [] : audioCodec)];
    const timescale = ["-video_track_timescale", "90000"];
    await run("ffmpeg", ["-v", "error", "-y", ...inputs, "-t", String(seconds), ...outputs, ...timescale, file]);
    const probe = ["-v", "error", "-show_packets", "-show_streams", "-of", "json", file];
    const { stdout } = await run("ffprobe", probe, { maxBuffer: 64 * 1024 * 1024 });
    return readClip(await readFile(file), JSON.parse(stdout), audio === "opus");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function readClip(file: Buffer, probed: { packets: ProbedPacket[]; streams: ProbedStream[] }, isOpus: boolean): Clip {
  const tracks = probed.streams.map((stream, id): Track => {
    const timescale = Number(stream.time_base.split("/")[1]);
    const shared = { id, name: `${stream.codec_type}_${id}`, timescale, bitrate: 0 };
    if (stream.codec_name === "av1" || stream.codec_name === "vp9") {
      const { width, height } = stream;
      return { ...shared, kind: "video", codec: stream.codec_name, video: { width, height, framerate: 0 } };
    }
    if (stream.codec_type === "video") {
      const isHevc = stream.codec_name === "hevc";
      const decoderConfig = boxContent(file, isHevc ? "hvcC" : "avcC");
      return { ...shared, kind: "video", codec: isHevc ? "h265" : "h264", decoderConfig };
    }
    const audio = { sampleRate: 48_000, channels: 2 };
    if (isOpus) return { ...shared, kind: "audio", codec: "opus", audio };
    const decoderConfig = serializeAacConfig({ objectType: 2, sampleRate: 48_000, channels: 2 });
    return { ...shared, kind: "audio", codec: "aac", audio, decoderConfig };
  });
  const samples = probed.packets.map((packet): Sample => {
    const bytes = file.subarray(Number(packet.pos), Number(packet.pos) + Number(packet.size));
    const track = tracks[packet.stream_index]!;
    const hasNals = track.codec === "h264" || track.codec === "h265";
    return {
      trackId: track.id,
      pts: packet.pts,
      dts: packet.dts,
      duration: packet.duration ?? 0,
      isKeyframe: track.kind === "audio" || packet.flags.startsWith("K"),
      data: hasNals ? joinAnnexB(splitLengthPrefixed(bytes)) : Uint8Array.from(bytes),
    };
  });
  const timeMs = (sample: Sample): number => (sample.dts * 1000) / tracks[sample.trackId]!.timescale;
  const lead = samples.filter((sample) => sample.trackId === 0);
  const durationMs = timeMs(lead.at(-1)!) + timeMs(lead[1]!) - timeMs(lead[0]!) * 2;
  // An encoder's priming lies before 0; a live source has none in the middle of a loop.
  return {
    tracks,
    samples: samples
      .filter((sample) => tracks[sample.trackId]!.kind === "video" || timeMs(sample) >= 0)
      .filter((sample) => timeMs(sample) < durationMs)
      .sort((a, b) => timeMs(a) - timeMs(b)),
    durationMs,
  };
}

function splitLengthPrefixed(bytes: Buffer): Buffer[] {
  const nals: Buffer[] = [];
  for (let at = 0; at + 4 <= bytes.length;) {
    const end = at + 4 + bytes.readUInt32BE(at);
    nals.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return nals;
}

function boxContent(file: Buffer, type: string): Uint8Array {
  const at = file.indexOf(type, 0, "latin1");
  return Uint8Array.from(file.subarray(at + 4, at - 4 + file.readUInt32BE(at - 4)));
}

/**
 * The clip with a subtitle track: in each second a cue that is over within it, and from each third one
 * on another that is shown beside them, across segments. Each is known when it is shown.
 */
export function withSubtitles(clip: Clip): Clip {
  const trackId = clip.tracks.length;
  const subtitle = { label: "English", isDefault: false, isAutoSelect: false, isForced: false };
  const form = { kind: "subtitle", codec: "webvtt", timescale: 1_000, language: "en", subtitle } as const;
  const cue = (startMs: number, duration: number, text: string): Sample => {
    const data = serializeCueSample({ text, settings: "" });
    return { trackId, pts: startMs, dts: startMs, duration, isKeyframe: true, data };
  };
  const seconds = Array.from({ length: Math.floor(clip.durationMs / 1_000) }, (_, second) => second);
  const cues = seconds.flatMap((second) => [
    cue(second * 1_000 + 250, 650, `second ${second}`),
    ...(second % 3 === 0 ? [cue(second * 1_000 + 500, 2_700, `from second ${second} on`)] : []),
  ]);
  const tracks = [...clip.tracks, { ...form, id: trackId, name: "subtitle", bitrate: 0 }];
  const timeMs = (sample: Sample): number => (sample.dts * 1_000) / tracks[sample.trackId]!.timescale;
  return { ...clip, tracks, samples: [...clip.samples, ...cues].sort((a, b) => timeMs(a) - timeMs(b)) };
}

/** The clip played over and over: sample `index` of an endless stream whose time starts at `startMs`. */
export function loopedSample(clip: Clip, index: number, startMs: number): Sample {
  const round = Math.floor(index / clip.samples.length);
  const sample = clip.samples[index % clip.samples.length]!;
  const { timescale } = clip.tracks[sample.trackId]!;
  const shift = Math.round(((startMs + round * clip.durationMs) * timescale) / 1000);
  return { ...sample, pts: sample.pts + shift, dts: sample.dts + shift };
}
