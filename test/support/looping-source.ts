import type { Sample } from "../../media-node/core/sample.ts";
import type { OpenSource, Source, SourceSink } from "../../media-node/core/source.ts";
import type { Timer } from "../../media-node/time/clock.ts";
import { every, systemClock } from "../../media-node/time/clock.ts";
import { loopedSample, type Clip } from "./clip.ts";

export interface LoopingSourceOptions {
  /** Unix time of stream time 0. */
  readonly epochMs: number;
  /** Media older than now that is delivered at once, as an origin does for whoever joins. */
  readonly burstMs: number;
}

/** Opens a source that plays `clip` for ever, in step with the wall clock: every one delivers the same samples. */
export function loopingSource(clip: Clip, { epochMs, burstMs }: LoopingSourceOptions): OpenSource {
  return async () => {
    let timer: Timer | undefined;
    const source: Source = {
      description: {
        tracks: clip.tracks,
        playlists: [],
        epochMs,
        isEpochShared: true,
        originId: "looping-source",
        path: [],
      },
      start(sink) {
        timer = play(clip, epochMs, burstMs, sink);
      },
      async close() {
        timer?.cancel();
      },
    };
    return source;
  };
}

function play(clip: Clip, epochMs: number, burstMs: number, sink: SourceSink): Timer {
  const nowMs = (): number => Date.now() - epochMs;
  const rounds = Math.floor((nowMs() - burstMs) / clip.durationMs);
  let index = rounds * clip.samples.length;
  const timeOf = (at: number): number => {
    const sample = loopedSample(clip, at, 0);
    return (sample.dts * 1000) / clip.tracks[sample.trackId]!.timescale;
  };
  // Join on the key frame at or before the start of the burst.
  while (timeOf(index) < nowMs() - burstMs) index++;
  while (!(loopedSample(clip, index, 0).isKeyframe && loopedSample(clip, index, 0).trackId === 0)) index--;
  // Of cues an origin remembers those that are still shown. They come in one turn with the first group of pictures: a reader that
  // begins between them is not told of cues without a picture to begin at.
  let remembered: Sample[] | undefined = [];
  for (let at = Math.max(0, index - clip.samples.length); at < index; at++) {
    const sample = loopedSample(clip, at, 0);
    if (clip.tracks[sample.trackId]!.kind === "subtitle" && sample.pts + sample.duration > timeOf(index))
      remembered.push(sample);
  }
  return every(systemClock, 5, () => {
    for (const cue of remembered ?? []) sink.onSample(cue);
    remembered = undefined;
    while (timeOf(index) <= nowMs()) sink.onSample(loopedSample(clip, index++, 0));
  });
}
