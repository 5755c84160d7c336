import type { ServerConfig } from "./config/server-config.ts";

/** Players begin three segments from the end of a playlist, while a fourth grows. */
const segmentsHeld = 4;
/** Those of HLS version 3 begin three target durations from it, six segments. */
const segmentsHeldOfHls = 7;
/** A group of pictures as encoders make them for live video: recent media begins with a key frame. */
const groupMs = 2_000;
const leastMs = 6_000;
/** Origins give no more than this, and to who asks for more nothing. */
const mostMs = 60_000;

/**
 * How much recent media a stream keeps, in milliseconds, and asks of its origin: four segments of the application with
 * the longest, seven for HLS version 3, and the group of pictures they begin within. So there is a whole playlist as soon as
 * the stream is live.
 */
export function recentMsOf({ vhosts }: ServerConfig): number {
  const settings = vhosts.flatMap(({ applications }) => applications.map(({ publishers }) => publishers));
  const spans = settings.flatMap(({ llhls, hls }) => [
    ...(llhls ? [segmentsHeld * llhls.segmentDurationMs] : []),
    ...(hls ? [segmentsHeldOfHls * hls.segmentDurationMs] : []),
  ]);
  return Math.min(mostMs, Math.max(leastMs, ...spans.map((ms) => ms + groupMs)));
}
