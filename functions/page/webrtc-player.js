// OvenPlayer on the router's managed signalling: when its node drains or dies it is told so and plays on from another one.
// Only when no node can play the stream does it fail; then it is made anew until one can.
import { onServingNode } from "./serving-node.js";

/**
 * @param {string} stream `app/stream`
 * @param {import("./viewing.js").Viewing} viewing
 * @param {(protocol: string) => Promise<string>} why asks for the reason of the decision and logs it
 */
export function playWebRtc(stream, viewing, why) {
  const file = `${location.origin.replace("http", "ws")}/${stream}?managed=1`;
  let player;
  let retryMs = 250;
  let isMuted = true;
  onServingNode((node) => {
    viewing.restart();
    void show(node);
  });

  async function show(node) {
    viewing.servedBy(node, await why("webrtc").catch(() => ""));
  }

  function start() {
    viewing.restart();
    const place = document.createElement("div");
    place.id = "ovenplayer";
    document.querySelector("#webrtc .screen").replaceChildren(place);
    const mine = window.OvenPlayer.create(place, {
      sources: [{ type: "webrtc", file }],
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
    mine.on("error", ({ message }) => {
      if (player === mine) again(message);
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

  function again(message) {
    viewing.servedBy(undefined, message);
    player.remove();
    player = undefined;
    setTimeout(start, retryMs);
    retryMs = Math.min(retryMs * 2, 3_000);
  }

  start();
  return {
    setMuted(muted) {
      isMuted = muted;
      player?.setMute(muted);
    },
  };
}
