import { hearthEpochMs } from "../../media-node/core/epoch.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { StreamOutput } from "../../media-node/llhls/stream-output.ts";
import { loopedSample, type Clip } from "./clip.ts";
import { newStream } from "./synthetic-media.ts";

/** Stream time at which a cut clip begins. */
export const cutStartMs = 60_000_000_000;

export interface CutOptions {
  /** Default 2000. */
  readonly segmentMs?: number;
  /** The first sample that is seen, as by an edge that joined there. */
  readonly from?: number;
}

/** What an edge makes of a clip played once: parts of 200 ms. */
export function cutClip(clip: Clip, { segmentMs = 2_000, from = 0 }: CutOptions = {}): StreamOutput {
  const stream = newStream(clip.tracks, hearthEpochMs);
  const options = { segmentMs, partMs: 200, segmentCount: 20, streamKey: "key", logger: silentLogger };
  const output = new StreamOutput(stream, { ...options, onProgress: () => {} });
  output.start();
  for (let index = from; index < clip.samples.length; index++) stream.publish(loopedSample(clip, index, cutStartMs));
  stream.close({ code: "end" });
  return output;
}
