import type { Clock } from "../time/clock.ts";
import type { ViewerPlace } from "./viewer-place.ts";

/** For how long, and how often, a viewer's first packet is looked for. */
const firstMediaLooks = 100;
const firstMediaLookMs = 50;

/**
 * Calls `onFirst` once, within 50 ms of the first media sent to `viewer`; never when it ends before, or waits longer than
 * 5 s. To be called in the thread that sends to it: elsewhere its bytes are known a second late.
 */
export function watchFirstMedia(
  clock: Clock,
  viewer: Pick<ViewerPlace, "isEnded" | "sentBytes">,
  onFirst: () => void,
  looks = firstMediaLooks,
): void {
  if (viewer.isEnded) return;
  if (viewer.sentBytes > 0) onFirst();
  else if (looks > 0) clock.after(firstMediaLookMs, () => watchFirstMedia(clock, viewer, onFirst, looks - 1));
}
