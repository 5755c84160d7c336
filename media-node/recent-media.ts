import type { ServerConfig } from "./config/server-config.ts";

/** Parts are listed of five whole segments, while a sixth grows: players sent here from another edge look for them. */
const segmentsHeld = 6;
/** Those of HLS version 3 begin three target durations from it, six segments. */
const segmentsHeldOfHls = 7;
/** What edges have that say nothing of segments: taken of an origin that says nothing either. What it forgot no edge can show. */
const segmentMsOfEdges = 6_000;
/** A group of pictures as encoders make them for live video: recent media begins with a key frame. */
const groupMs = 2_000;
const leastMs = 6_000;
/** Origins give no more than this, and to who asks for more nothing. */
const mostMs = 60_000;

/**
 * How much recent media a stream keeps, in milliseconds, and asks of its origin: six segments of the application with
 * the longest, seven for HLS version 3, and the group of pictures they begin within. So there is a whole playlist as soon as
 * the stream is live. Where other nodes pull, an application's `LLHLS` says how long their segments are, too.
 */
export function recentMsOf({ vhosts }: ServerConfig): number {
  const settings = vhosts.flatMap(({ applications }) => applications.map(({ publishers }) => publishers));
  const spans = settings.flatMap(({ llhls, hls, ovt }) => [
    ...(ovt && !llhls ? [segmentsHeld * segmentMsOfEdges] : []),
    ...(llhls ? [segmentsHeld * llhls.segmentDurationMs] : []),
    ...(hls ? [segmentsHeldOfHls * hls.segmentDurationMs] : []),
  ]);
  return Math.min(mostMs, Math.max(leastMs, ...spans.map((ms) => ms + groupMs)));
}
