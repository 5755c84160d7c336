import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import type { Sample } from "../../media-node/core/sample.ts";
import type { Source, SourceSink } from "../../media-node/core/source.ts";
import type { StreamDescription } from "../../media-node/core/stream.ts";
import type { Track } from "../../media-node/core/track.ts";
import type { CloseReason } from "../../media-node/flow/close-group.ts";

export const videoTrack: Track = {
  id: 0,
  kind: "video",
  codec: "h264",
  name: "Video",
  timescale: 90_000,
  bitrate: 1_000_000,
  video: { width: 1280, height: 720, framerate: 25 },
};

export const audioTrack: Track = {
  id: 1,
  kind: "audio",
  codec: "opus",
  name: "Audio",
  timescale: 48_000,
  bitrate: 64_000,
  audio: { sampleRate: 48_000, channels: 2 },
};

export function describedAs(over: Partial<StreamDescription> = {}): StreamDescription {
  return {
    tracks: [videoTrack, audioTrack],
    playlists: [],
    epochMs: hearthEpochMs,
    isEpochShared: true,
    originId: "test",
    path: [],
    ...over,
  };
}

/** Frame `index` of a 25 fps track whose groups have `gop` frames; its data is its index. */
export function frame(index: number, gop = 25): Sample {
  return {
    trackId: 0,
    pts: index * 3_600,
    dts: index * 3_600,
    duration: 3_600,
    isKeyframe: index % gop === 0,
    data: Uint8Array.of(index >> 8, index & 0xff),
  };
}

/** Audio packet `index`, 20 ms each. */
export function sound(index: number): Sample {
  return { trackId: 1, pts: index * 960, dts: index * 960, duration: 960, isKeyframe: true, data: Uint8Array.of(0xfc) };
}

/** A source that delivers what a test tells it to. */
export class FakeSource implements Source {
  readonly description: StreamDescription;
  sink: SourceSink | undefined;
  closedWith: string | undefined;
  readonly keyframesAsked: number[] = [];

  constructor(description: StreamDescription = describedAs()) {
    this.description = description;
  }

  start(sink: SourceSink): void {
    this.sink = sink;
  }

  requestKeyframe(trackId: number): void {
    this.keyframesAsked.push(trackId);
  }

  push(...samples: readonly Sample[]): void {
    for (const sample of samples) this.sink?.onSample(sample);
  }

  end(reason: CloseReason): void {
    this.sink?.onEnd(reason);
  }

  async close(reason: CloseReason): Promise<void> {
    this.closedWith ??= reason.code;
  }
}

/** Lets every promise that is already resolved run on; no time passes. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}
