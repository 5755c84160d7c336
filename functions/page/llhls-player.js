// hls.js in low-latency mode with content steering: the router's master playlist names two nodes, and hls.js leaves one
// that drains or dies by itself. When neither plays, the master is asked anew.
import { goOnAfterSteering } from "./steered-hls.js";
import Hls from "./vendor/hls.min.mjs";

/**
 * @param {string} stream `app/stream`
 * @param {import("./viewing.js").Viewing} viewing
 * @param {(protocol: string) => Promise<string>} why asks for the reason of the decision and logs it
 * @param {(url: string) => Promise<string>} nodeOf the id of the node that a URL points to
 */
export function playLlHls(stream, viewing, why, nodeOf) {
  const video = document.querySelector("#hls-video");
  const master = new URL(`/${stream}/llhls.m3u8?steering=1`, location.href).href;
  let retryMs = 250;
  let hls;
  /** Scheme, host and port of the node that the last media came from. */
  let origin;
  viewing.watch(video);

  function start() {
    viewing.restart();
    hls?.destroy();
    const mine = new Hls({ lowLatencyMode: true, backBufferLength: 10, maxLiveSyncPlaybackRate: 1.1 });
    hls = mine;
    window.hearthHls = mine;
    goOnAfterSteering(mine, Hls.Events);
    mine.on(Hls.Events.FRAG_BUFFERED, (_event, { frag }) => {
      retryMs = 250;
      // A part may have come before its segment has a name; the playlist that both are in always has one.
      void showNode(frag.baseurl);
    });
    mine.on(Hls.Events.ERROR, (_event, { fatal }) => {
      if (hls === mine && fatal) again();
    });
    mine.loadSource(master);
    mine.attachMedia(video);
    void video.play().catch(() => {});
  }

  async function showNode(url) {
    const from = new URL(url).origin;
    if (from === origin) return;
    origin = from;
    viewing.servedBy(await nodeOf(url), await why("llhls").catch(() => ""));
  }

  function again() {
    hls?.destroy();
    hls = undefined;
    setTimeout(start, retryMs);
    retryMs = Math.min(retryMs * 2, 3_000);
  }

  start();
  return {
    setMuted(muted) {
      video.muted = muted;
    },
  };
}
