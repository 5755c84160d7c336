// Draws the nodes from left to right: origins, the streams they publish, the edges that pull them.
import { command } from "./router.js";

const bits = (bps) => (bps >= 1e6 ? `${(bps / 1e6).toFixed(1)} Mbit/s` : `${Math.round(bps / 1e3)} kbit/s`);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** Nodes seen before, so that one that stopped can be started again. */
const known = new Map();

/**
 * @param {HTMLElement} map
 * @param {{nodes: any[], canCommand: boolean}} state
 * @param {Set<string>} mine ids of the nodes that serve this page
 */
export function drawCluster(map, { nodes, canCommand }, mine) {
  const live = new Map(nodes.map((node) => [node.id, node]));
  for (const node of nodes) known.set(node.id, node);
  const all = [...known.values()].map((node) => live.get(node.id) ?? { ...node, state: "gone" });
  const byId = (a, b) => a.id.localeCompare(b.id);
  const origins = all.filter((node) => node.protocols.length === 0).toSorted(byId);
  const edges = all.filter((node) => node.protocols.length > 0).toSorted(byId);
  const streams = [...new Set(origins.flatMap((origin) => origin.origins))].toSorted((a, b) => (a < b ? -1 : 1));
  map.replaceChildren(
    column(origins.map((origin) => originCard(origin))),
    column(streams.map((name) => streamCard(name, edges))),
    column(edges.map((edge) => edgeCard(edge, mine, canCommand))),
  );
}

function column(cards) {
  const element = document.createElement("div");
  element.className = "column";
  element.append(...cards);
  return element;
}

function card(title, state, lines) {
  const element = document.createElement("div");
  element.className = "node";
  element.dataset.state = state;
  const heading = document.createElement("b");
  heading.textContent = title;
  element.append(heading);
  for (const line of lines) {
    const paragraph = document.createElement("p");
    paragraph.textContent = line;
    element.append(paragraph);
  }
  return element;
}

function originCard(origin) {
  const streams = plural(origin.origins.length, "stream");
  const card_ = card(origin.id, origin.state, [
    `origin · ${origin.state}`,
    `publishes ${streams}`,
    `${Math.round(origin.cpu * 100)} % CPU`,
  ]);
  return card_;
}

function streamCard(name, edges) {
  const carriers = edges.filter((edge) => edge.state !== "gone" && name in edge.streams);
  const viewers = carriers.reduce((sum, edge) => sum + edge.streams[name], 0);
  const element = card(name.split("/").slice(1).join("/"), "serving", [
    plural(viewers, "viewer"),
    `pulled by ${plural(carriers.length, "edge")}`,
  ]);
  element.classList.add("is-flowing");
  return element;
}

function edgeCard(edge, mine, canCommand) {
  const isGone = edge.state === "gone";
  const carried = Object.keys(edge.streams).length;
  const element = card(edge.id, edge.state, [
    isGone ? "not answering" : `edge · ${edge.state}`,
    isGone ? "its viewers have moved" : `${plural(edge.viewers, "viewer")} · ${bits(edge.egressBps)}`,
    isGone ? "" : `${Math.round(edge.cpu * 100)} % CPU · ${carried > 0 ? plural(carried, "pull") : "idle"}`,
  ]);
  if (!isGone && carried > 0) element.classList.add("is-flowing");
  if (!isGone && mine.has(edge.id)) element.classList.add("is-serving-me");
  if (canCommand) element.querySelector("b").append(stopButton(edge.id, isGone));
  return element;
}

function stopButton(id, isGone) {
  const button = document.createElement("button");
  const verb = isGone ? "start" : "stop";
  button.textContent = isGone ? "Start" : "Stop";
  button.dataset.command = `${verb} ${id}`;
  button.addEventListener("click", () => {
    button.disabled = true;
    command(verb, id).catch((thrown) => {
      button.title = thrown.message;
    });
  });
  return button;
}
