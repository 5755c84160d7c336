// HLS viewers by the hundred in a process of their own, so that they and those by WebRTC do not wait for each other's turn. Is sent
// the URLs of master playlists, one a viewer; tells ten times a second how each of them is.
import { HlsViewer } from "./hls-viewer.ts";

/** How one viewer is: times are Unix ms. */
export interface HlsState {
  readonly lastMs: number | null;
  readonly moves: number;
  readonly failures: number;
  readonly lastFailure: string;
  readonly lastFailureMs: number | null;
  readonly lastMasterMs: number | null;
}

const viewers: HlsViewer[] = [];
const unix = (ms: number | undefined): number | null => (ms === undefined ? null : performance.timeOrigin + ms);

function stateOf(viewer: HlsViewer): HlsState {
  return {
    lastMs: unix(viewer.lastMs),
    moves: Math.max(0, viewer.nodes.length - 1),
    failures: viewer.failures.length,
    lastFailure: (viewer.failures.at(-1) ?? "").slice(0, 120),
    lastFailureMs: unix(viewer.lastFailureMs),
    lastMasterMs: unix(viewer.lastMasterMs),
  };
}

process.on("message", (url: string) => void viewers.push(new HlsViewer(url)));
const told: string[] = [];
setInterval(() => {
  const news: [at: number, state: HlsState][] = [];
  for (const [at, viewer] of viewers.entries()) {
    const state = stateOf(viewer);
    const text = JSON.stringify(state);
    if (text !== told[at]) news.push([at, state]);
    told[at] = text;
  }
  // Who started this may have ended in the meantime: then nobody is left to be told, and `disconnect` ends it.
  if (news.length > 0 && process.connected) process.send!(news, undefined, undefined, () => {});
}, 100);
process.on("disconnect", () => process.exit(0));
