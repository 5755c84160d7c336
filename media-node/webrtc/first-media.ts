import type { Clock, Timer } from "../time/clock.ts";
import type { ViewerPlace } from "./viewer-place.ts";

/** For how long, and how often, a viewer's first packet is looked for. */
const firstMediaLooks = 100;
const firstMediaLookMs = 50;

/**
 * Calls `onFirst` once, within 50 ms of the first media sent to `viewer`; never when it ends before, or waits longer than
 * 5 s. To be called in the thread that sends to it: elsewhere its bytes are known a second late.
 * @returns ends the watch, with its timer
 */
export function watchFirstMedia(
  clock: Clock,
  viewer: Pick<ViewerPlace, "isEnded" | "sentBytes">,
  onFirst: () => void,
): () => void {
  let left = firstMediaLooks;
  let timer: Timer | undefined;
  const look = (): void => {
    timer = undefined;
    if (viewer.isEnded) return;
    if (viewer.sentBytes > 0) onFirst();
    else if (left-- > 0) timer = clock.after(firstMediaLookMs, look);
  };
  look();
  return () => timer?.cancel();
}
