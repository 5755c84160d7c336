import { every, type Clock } from "../time/clock.ts";
import { enoughWhole, type StreamOutput } from "./stream-output.ts";

const lookMs = 50;

/**
 * Waits until a list of this stream looks like those of nodes that have had it for long: viewers of theirs can come then.
 * @param signal ends the waiting; one whole segment is better than none
 * @returns true when viewers may come; for a stream with nothing this room delivers there are none
 */
export function untilWhole(output: StreamOutput, clock: Clock, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const look = every(clock, lookMs, () => {
      const isOver = signal.aborted || output.ended !== undefined || !output.isDeliverable;
      if (output.wholeSegments < enoughWhole && !isOver) return;
      look.cancel();
      resolve(output.wholeSegments > 0 || !output.isDeliverable);
    });
  });
}
