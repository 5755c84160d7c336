import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { av1SequenceOf } from "../../media-node/codecs/av1.ts";
import { vp9KeyFrame } from "../../media-node/codecs/vp9.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import type { Track } from "../../media-node/core/track.ts";
import type { Clip } from "./clip.ts";

type IvfCodec = "vp8" | "vp9" | "av1";

const encoders: Readonly<Record<IvfCodec, readonly string[]>> = {
  vp8: ["-c:v", "libvpx", "-deadline", "realtime", "-auto-alt-ref", "0"],
  vp9: ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-auto-alt-ref", "0", "-lag-in-frames", "0"],
  av1: ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p"],
};

/** Whether decoding can start at a frame, as its source would tell. */
const isKeyframeOf: Readonly<Record<IvfCodec, (data: Uint8Array) => boolean>> = {
  // The lowest bit of a frame is 0 for key frames (RFC 6386 §9.1).
  vp8: (data) => (data[0]! & 1) === 0,
  vp9: (data) => vp9KeyFrame(data) !== undefined,
  av1: (data) => av1SequenceOf(data) !== undefined,
};

/** Two seconds of a test picture, without sound, made with ffmpeg. Rejects where ffmpeg is missing. */
export async function makeIvfClip(codec: IvfCodec): Promise<Clip> {
  const input = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30", "-t", "2"];
  const output = [...encoders[codec], "-g", "30", "-b:v", "500k", "-f", "ivf", "-"];
  const { stdout } = await promisify(execFile)("ffmpeg", ["-v", "error", ...input, ...output], {
    encoding: "buffer",
    maxBuffer: 16 * 1024 * 1024,
  });
  const track: Track = { id: 0, kind: "video", codec, name: "video", timescale: 90_000, bitrate: 500_000 };
  const samples = framesOf(stdout).map((data, index): Sample => {
    const pts = index * 3_000;
    return { trackId: 0, pts, dts: pts, duration: 3_000, isKeyframe: isKeyframeOf[codec](data), data };
  });
  return { tracks: [track], samples, durationMs: (samples.length * 1_000) / 30 };
}

/** IVF: a header of 32 bytes, then frames behind 12 bytes each, the first four their size. */
function framesOf(ivf: Buffer): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 32; at + 12 <= ivf.length;) {
    const size = ivf.readUInt32LE(at);
    frames.push(Uint8Array.from(ivf.subarray(at + 12, at + 12 + size)));
    at += 12 + size;
  }
  return frames;
}
