// hls.js in low-latency mode. The master playlist is asked from the router, which redirects; everything below it is
// relative to the node. When the node is gone, the master is asked anew.
import Hls from "./vendor/hls.min.mjs";

/**
 * @param {string} stream `app/stream`
 * @param {import("./viewing.js").Viewing} viewing
 * @param {(protocol: string) => Promise<string>} why asks for the reason of the decision and logs it
 * @param {(url: string) => Promise<string>} nodeOf the id of the node that a URL points to
 */
export function playLlHls(stream, viewing, why, nodeOf) {
  const video = document.querySelector("#hls-video");
  const master = new URL(`/${stream}/llhls.m3u8`, location.href).href;
  let retryMs = 250;
  let hls;
  viewing.watch(video);

  function start() {
    viewing.restart();
    hls?.destroy();
    const mine = new Hls({ lowLatencyMode: true, backBufferLength: 10, maxLiveSyncPlaybackRate: 1.1 });
    hls = mine;
    window.hearthHls = mine;
    mine.on(Hls.Events.MANIFEST_LOADED, async (_event, { url }) => {
      viewing.servedBy(await nodeOf(url), await why("llhls").catch(() => ""));
    });
    mine.on(Hls.Events.FRAG_BUFFERED, () => (retryMs = 250));
    mine.on(Hls.Events.ERROR, (_event, { fatal, type, response }) => {
      // A refused connection is a dead node: do not wait until every retry is used up.
      const isDeadNode = type === Hls.ErrorTypes.NETWORK_ERROR && (!response || response.code === 0);
      if (hls === mine && (fatal || isDeadNode)) again();
    });
    mine.loadSource(master);
    mine.attachMedia(video);
    void video.play().catch(() => {});
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
