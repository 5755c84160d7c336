import type { IncomingMessage, ServerResponse } from "node:http";
import type { TrackMeasure } from "../../core/stream-meter.ts";
import { sendJson, sendProblem } from "../http-answers.ts";
import { diagnoseStream, type Finding } from "./diagnose-stream.ts";
import type { LiveFacts, StreamFacts } from "./stream-facts.ts";

export interface StreamPageOptions {
  /** `vhost/app/stream` of every stream that is live here. */
  readonly names: () => readonly string[];
  readonly factsOf: (name: { vhost: string; app: string; stream: string }) => StreamFacts;
}

const prefix = "/-/streams";

/**
 * `/-/streams` lists what is live; `/-/streams/{vhost}/{app}/{stream}` says all that is known of one stream and what is
 * wrong with it. HTML for people, JSON with `?format=json`.
 */
export function streamPages({ names, factsOf }: StreamPageOptions) {
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    const [path = "/", query = ""] = (request.url ?? "/").split("?", 2);
    if (path !== prefix && !path.startsWith(`${prefix}/`)) return false;
    if (request.method !== "GET" && request.method !== "HEAD") {
      sendProblem(response, 405, "only GET is answered");
      return true;
    }
    const isJson = new URLSearchParams(query).get("format") === "json";
    const parts = decoded(path.slice(prefix.length + 1));
    if (!parts) sendProblem(response, 400, "this path cannot be read");
    else if (parts.length === 0 && isJson) sendJson(response, names());
    else if (parts.length === 0) sendHtml(response, "Streams", listOf(names()));
    else if (parts.length !== 3) sendProblem(response, 404, `ask for ${prefix}/{vhost}/{app}/{stream}`);
    else {
      const [vhost, app, stream] = parts as [string, string, string];
      const facts = factsOf({ vhost, app, stream });
      const findings = diagnoseStream(facts);
      if (isJson) sendJson(response, { ...facts, findings });
      else sendHtml(response, facts.name, pageOf(facts, findings));
    }
    return true;
  };
}

function decoded(path: string): string[] | undefined {
  try {
    return path
      .split("/")
      .filter((part) => part !== "")
      .map(decodeURIComponent);
  } catch {
    return undefined;
  }
}

function sendHtml(response: ServerResponse, title: string, body: string): void {
  response.writeHead(200, {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
  });
  response.end(`<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>${escaped(title)}</title>
<style>body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:64rem;padding:0 1rem;color-scheme:light dark}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{text-align:left;padding:.15rem 1rem .15rem 0;vertical-align:top}
.finding{border-left:4px solid #c33;padding:.3rem .8rem;margin:.5rem 0}.well{border-left:4px solid #393;padding:.3rem .8rem}
code,td{font-variant-numeric:tabular-nums}h2{font-size:1.1rem;margin:1.2rem 0 .2rem}</style>
<h1>${escaped(title)}</h1>${body}\n`);
}

const listOf = (names: readonly string[]): string =>
  names.length === 0
    ? "<p>No stream is live here.</p>"
    : `<ul>${names.map((name) => `<li><a href="${prefix}/${name.split("/").map(encodeURIComponent).join("/")}">${escaped(name)}</a>`).join("")}</ul>`;

function pageOf({ node, live, events }: StreamFacts, findings: readonly Finding[]): string {
  const said = findings.map(
    ({ code, sentence, remedy }) =>
      `<div class="finding" data-code="${code}"><strong>${escaped(sentence)}</strong><br>${escaped(remedy)}</div>`,
  );
  return [
    said.length > 0 ? said.join("") : '<div class="well">Nothing is wrong that this node could see.</div>',
    live ? liveOf(live, node.id) : "",
    `<h2>Last events</h2><table>${events
      .toReversed()
      .map(
        ({ wallMs, level, event, fields }) =>
          `<tr><td>${new Date(wallMs).toISOString()}<td>${level}<td>${escaped(event)}<td><code>${escaped(
            Object.entries(fields)
              .map(([key, value]) => `${key}=${String(value)}`)
              .join(" "),
          )}</code>`,
      )
      .join("")}</table>`,
  ].join("");
}

function liveOf(live: LiveFacts, nodeId: string): string {
  const rows: [string, string][] = [
    ["Source", `${live.sourceUrl} (${live.phase}, from ${live.from})`],
    ["Sources in order", live.urls.join(", ")],
    ["Way here", [...live.path, nodeId].join(" → ")],
    ["Stream id", live.originId],
    ["Failovers", String(live.failovers)],
    ["Since the last sample", `${Math.round(live.silenceMs)} ms`],
    ["Age of the newest sample", ageOf(live)],
    ["Lease", live.lease ?? "none: not an origin of it"],
    ["Viewers", countsOf(live.viewers)],
    ["Sent, bytes", countsOf(live.sent)],
    ...(live.webrtc
      ? ([
          [
            "WebRTC",
            `${live.webrtc.viewers} connected, loss ${(live.webrtc.lossShare * 100).toFixed(1)} %, round trip ${Math.round(
              live.webrtc.roundTripMs,
            )} ms, ${live.webrtc.drops} drops`,
          ],
        ] as [string, string][])
      : []),
  ];
  const table = rows.map(([key, value]) => `<tr><th>${key}<td>${escaped(value)}`).join("");
  const tracks = live.tracks.map(trackRow).join("");
  const head =
    "<tr><th>Track<th>Codec<th>Rate<th>Bit rate<th>Group<th>Since key frame<th>Last dts / pts<th>Back in time";
  return `<h2>Now</h2><table>${table}</table><h2>Tracks</h2><table>${head}${tracks}</table>`;
}

function trackRow({
  track,
  framerate,
  bitrate,
  groupLength,
  sinceKeyframe,
  lastDts,
  lastPts,
  backwards,
}: TrackMeasure): string {
  const size = track.video ? ` ${track.video.width}×${track.video.height}` : "";
  const cells = [
    `${track.kind} ${track.id}${size}`,
    track.codec,
    `${framerate}/s`,
    `${Math.round(bitrate / 1_000)} kbit/s`,
    track.kind === "video" ? `${groupLength} frames` : "",
    track.kind === "video" ? `${sinceKeyframe} frames` : "",
    `${lastDts ?? "–"} / ${lastPts ?? "–"} (1/${track.timescale} s)`,
    String(backwards),
  ];
  return `<tr>${cells.map((cell) => `<td>${escaped(cell)}`).join("")}`;
}

function ageOf({ ageMs, isClockShared }: LiveFacts): string {
  if (ageMs === undefined) return "no sample yet";
  return `${Math.round(ageMs)} ms by ${isClockShared ? "the source's clock" : "this node's guess of it"}`;
}

const countsOf = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .map(([key, count]) => `${key} ${count}`)
    .join(", ") || "none";

/** Names and messages come from outside. */
function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
