import { drawCluster } from "./cluster-map.js";
import { playLlHls } from "./llhls-player.js";
import { cluster, explain } from "./router.js";
import { Viewing } from "./viewing.js";
import { playWebRtc } from "./webrtc-player.js";

/** `?stream=app/other` plays another one. */
const stream = new URLSearchParams(location.search).get("stream") ?? "app/stream";
const webrtc = new Viewing(document.querySelector("#webrtc"));
const llhls = new Viewing(document.querySelector("#llhls"));
let nodes = [];

/** For tests and the curious: `hearth.webrtc.latencyMs`, `hearth.llhls.numbers`, … */
window.hearth = { webrtc, llhls, stream };

document.querySelector("#addresses").textContent =
  `${location.origin}/${stream}/llhls.m3u8 · ${location.origin}/${stream}/whep · ${location.origin.replace("http", "ws")}/${stream}`;

/** Resolves when the cluster was seen once: from then on a URL can be told from which node it is. */
const { promise: clusterSeen, resolve: sawCluster } = Promise.withResolvers();

const players = [
  playWebRtc(stream, webrtc, why),
  playLlHls(stream, llhls, why, async (url) => {
    await clusterSeen;
    return nodes.find((node) => url.startsWith(`${node.url}/`))?.id ?? new URL(url).host;
  }),
];
document.querySelector("#sound").addEventListener("change", ({ target }) => {
  // One of the two is enough to hear.
  players[0].setMuted(!target.checked);
});

setInterval(() => {
  webrtc.show();
  llhls.show();
}, 250);
await refresh();
setInterval(refresh, 1_000);

async function refresh() {
  const state = document.querySelector("#cluster-state");
  try {
    const { nodes: seen, canCommand } = await cluster();
    nodes = seen;
    sawCluster();
    drawCluster(document.querySelector("#map"), { nodes, canCommand }, new Set([webrtc.node, llhls.node]));
    state.textContent = `${nodes.filter((node) => node.state === "serving").length} nodes serving`;
    state.dataset.state = "good";
  } catch (thrown) {
    state.textContent = thrown.message;
    state.dataset.state = "bad";
  }
}

/** Asks the router why it chose as it did, and adds the answer to the list. */
async function why(protocol) {
  const { node, reason } = await explain(stream, protocol);
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date().toTimeString().slice(0, 8);
  const kind = document.createElement("span");
  kind.textContent = protocol;
  const text = document.createElement("div");
  text.textContent = `${node?.id ?? "no node"}: ${reason}`;
  item.append(time, kind, text);
  const list = document.querySelector("#decision-list");
  list.prepend(item);
  while (list.children.length > 50) list.lastChild.remove();
  return reason;
}
