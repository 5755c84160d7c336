import { joinAnnexB } from "../../media-node/codecs/annex-b.ts";
import { serializeAacConfig } from "../../media-node/codecs/aac.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import { Stream, type StreamDescription } from "../../media-node/core/stream.ts";
import type { Track } from "../../media-node/core/track.ts";
import { silentLogger, type Logger } from "../../media-node/flow/logger.ts";
import { ManualClock } from "../../media-node/time/manual-clock.ts";

const avcC = Buffer.from("0142c014ffe100176742c014da05067e7c0440000003004000000f03c50aa801000468ce3c80", "hex");

export const videoTrack: Track = {
  id: 0,
  kind: "video",
  codec: "h264",
  name: "video",
  timescale: 90_000,
  bitrate: 0,
  decoderConfig: avcC,
};
export const audioTrack: Track = {
  id: 1,
  kind: "audio",
  codec: "aac",
  name: "audio",
  timescale: 48_000,
  bitrate: 0,
  audio: { sampleRate: 48_000, channels: 2 },
  decoderConfig: serializeAacConfig({ objectType: 2, sampleRate: 48_000, channels: 2 }),
};

/** Media that decodes to nothing but is cut like any other. Equal options give equal samples. */
export interface SyntheticOptions {
  readonly durationMs: number;
  /** Milliseconds from picture `index` to the next. */
  readonly frameMs?: (index: number) => number;
  readonly isKeyframe?: (index: number) => boolean;
  /** Ticks of 1/90 000 s from decoding to showing. */
  readonly reorder?: (index: number) => number;
  readonly hasVideo?: boolean;
  readonly hasAudio?: boolean;
  readonly startMs?: number;
}

/** Samples of both tracks in the order of their decoding times. */
export function syntheticSamples(options: SyntheticOptions): Sample[] {
  const { durationMs, hasVideo = true, hasAudio = true, startMs = 0 } = options;
  const { frameMs = () => 40, isKeyframe = (index) => index % 25 === 0, reorder = () => 0 } = options;
  const endMs = startMs + durationMs;
  const timed: { timeMs: number; sample: Sample }[] = [];
  for (let index = 0, timeMs = startMs; timeMs < endMs; timeMs += frameMs(index++)) {
    if (!hasVideo) break;
    const dts = Math.round(timeMs * 90);
    const isKey = isKeyframe(index);
    const data = joinAnnexB([Uint8Array.of(isKey ? 0x65 : 0x41, index & 0xff, (index >> 8) | 1, 0x80)]);
    timed.push({
      timeMs,
      sample: { trackId: 0, dts, pts: dts + reorder(index), duration: 0, isKeyframe: isKey, data },
    });
  }
  for (let index = 0; (index * 1024) / 48 < durationMs; index++) {
    if (!hasAudio) break;
    const dts = startMs * 48 + index * 1024;
    const data = Uint8Array.of(index & 0xff, index >> 8, 0x55);
    timed.push({ timeMs: dts / 48, sample: { trackId: 1, dts, pts: dts, duration: 1024, isKeyframe: true, data } });
  }
  return timed.sort((a, b) => a.timeMs - b.timeMs).map(({ sample }) => sample);
}

export function describe(tracks: readonly Track[], epochMs = 0): StreamDescription {
  return { tracks, playlists: [], epochMs, isEpochShared: true, originId: "origin", path: [] };
}

/** A reader that throws is a bug wherever it happens. */
const loud: Logger = {
  ...silentLogger,
  error: (event, fields) => {
    throw new Error(`${event}: ${fields?.["error"]}`);
  },
};

/** A stream whose readers' failures are the caller's. @param more said of it than {@link describe} says */
export function newStream(tracks: readonly Track[], epochMs = 0, more: Partial<StreamDescription> = {}): Stream {
  const name = { vhost: "default", app: "app", stream: "stream" };
  return new Stream(name, { ...describe(tracks, epochMs), ...more }, { clock: new ManualClock(), logger: loud });
}
