// OvenPlayer by OvenMediaEngine's WebSocket signalling. The node is asked for first (/-/resolve), so that the page can
// show it; when playing fails the router is asked again.
import { resolve } from "./router.js";

/**
 * @param {string} stream `app/stream`
 * @param {import("./viewing.js").Viewing} viewing
 * @param {(protocol: string) => Promise<string>} why asks for the reason of the decision and logs it
 */
export function playWebRtc(stream, viewing, why) {
  let player;
  let retryMs = 250;
  let isMuted = true;

  async function start() {
    viewing.restart();
    try {
      const { url, node } = await resolve(stream, "webrtc");
      viewing.servedBy(node, await why("webrtc").catch(() => ""));
      create(url);
    } catch (thrown) {
      viewing.servedBy(undefined, thrown.message);
      again();
    }
  }

  function create(url) {
    player?.remove();
    const place = document.createElement("div");
    place.id = "ovenplayer";
    document.querySelector("#webrtc .screen").replaceChildren(place);
    const mine = window.OvenPlayer.create(place, {
      sources: [{ type: "webrtc", file: url }],
      autoStart: true,
      autoFallback: false,
      mute: isMuted,
      controls: false,
      disableSeekUI: true,
      webrtcConfig: { generatePublicCandidate: false, connectionTimeout: 8_000, timeoutMaxRetry: 0 },
    });
    player = mine;
    whenVideo((video) => viewing.watch(video));
    mine.on("stateChanged", ({ newstate }) => {
      if (newstate === "playing") retryMs = 250;
    });
    mine.on("error", () => {
      if (player === mine) again();
    });
  }

  /** OvenPlayer makes its video element in its own time. */
  function whenVideo(use) {
    const screen = document.querySelector("#webrtc .screen");
    const video = screen.querySelector("video");
    if (video) {
      use(video);
      return;
    }
    const observer = new MutationObserver(() => {
      const made = screen.querySelector("video");
      if (!made) return;
      observer.disconnect();
      use(made);
    });
    observer.observe(screen, { childList: true, subtree: true });
  }

  function again() {
    player?.remove();
    player = undefined;
    setTimeout(start, retryMs);
    retryMs = Math.min(retryMs * 2, 3_000);
  }

  void start();
  return {
    setMuted(muted) {
      isMuted = muted;
      player?.setMute(muted);
    },
  };
}
