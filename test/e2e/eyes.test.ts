// What operators see of a running cluster: metrics that Prometheus takes, rules and dashboards that name what is there, a
// page about each stream.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { startLaptopCluster, type LaptopCluster } from "../../infra/laptop/cluster.ts";
import { HlsViewer } from "../support/hls-viewer.ts";
import { until } from "../support/until.ts";
import { WhepViewer } from "../support/whep-viewer.ts";

let cluster: LaptopCluster;
let viewers: (WhepViewer | HlsViewer)[] = [];
const logs: string[] = [];
/** The same, taken apart; `by` says whose. */
const logged: { by: string; event: string; trace?: string; stream?: string }[] = [];
/** Of the request that makes the edge pull (W3C Trace Context §3.2.3 has this one for an example). */
const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
const traceparent = `00-${trace}-00f067aa0ba902b7-01`;
let first: readonly Response[] = [];
/** Secrets of this run; none may be seen anywhere. */
const canaries = [
  "canary-of-the-cluster-secret",
  "canary-of-a-camera",
  "canary-in-a-query",
  "canary-of-a-bearer",
  "canary-of-a-session",
];

before(async () => {
  cluster = await startLaptopCluster({
    routerPort: 0,
    edges: 1,
    secret: canaries[0],
    nodeEnv: { HEARTH_LOG_LEVEL: "debug" },
    onLog: (node, text) => {
      logs.push(text);
      for (const line of text.split("\n")) if (line.startsWith("{")) logged.push({ by: node, ...JSON.parse(line) });
    },
  });
  first = await followed(`${cluster.url}/app/stream/llhls.m3u8`, { headers: { traceparent } });
  viewers = [new WhepViewer(`${cluster.url}/app/stream/whep`), new HlsViewer(`${cluster.url}/app/stream/llhls.m3u8`)];
  await until("both watch", 20_000, () => viewers.every(({ node }) => node !== undefined));
});

after(async () => {
  await Promise.all(viewers.map((viewer) => viewer.close()));
  await cluster?.close();
});

/** The router's answer, and that of the node it sends to. */
async function followed(url: string, init: RequestInit): Promise<readonly [Response, Response]> {
  const sent = await fetch(url, { ...init, redirect: "manual" });
  return [sent, await fetch(sent.headers.get("Location")!, init)];
}

/** Everything that was logged under a trace id so far, as `who: what`. */
const saidUnder = (id: string): string[] =>
  logged.flatMap(({ by, event, trace: at }) => (at === id ? [`${by}: ${event}`] : []));

const operatorUrl = (id: string): string => `http://127.0.0.1:${cluster.ready.get(id)!.operatorPort}`;
const metricsOf = async (id: string): Promise<string> => (await fetch(`${operatorUrl(id)}/metrics`)).text();

test("promtool finds nothing wrong with the metrics of origin and edge", async () => {
  for (const id of ["origin-1", "edge-1"]) {
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], {
      input: await metricsOf(id),
      encoding: "utf8",
    });
    assert.deepEqual({ status, said: `${stdout}${stderr}` }, { status: 0, said: "" });
  }
});

test("every metric that rules and dashboard name is there", async () => {
  const live = await until("viewers are reported upon", 10_000, async () => {
    const text = (await metricsOf("origin-1")) + (await metricsOf("edge-1"));
    return text.includes("hearth_webrtc_round_trip_seconds{") ? text : undefined;
  });
  const rules = readFileSync("infra/prometheus/rules.yaml", "utf8");
  const dashboard = JSON.parse(readFileSync("infra/grafana/hearth.json", "utf8")) as {
    panels: { targets: { expr: string }[] }[];
  };
  const recorded = new Set([...rules.matchAll(/record: (\S+)/g)].map(([, name]) => name!));
  const expressions = [
    ...[...rules.matchAll(/expr: (.+)/g)].map(([, expression]) => expression!),
    ...dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)),
  ];
  assert.ok(expressions.length >= 40, `${expressions.length} expressions`);
  const named = new Set(expressions.flatMap((expression) => expression.match(/\bhearth[_:][a-z_:0-9]+/g) ?? []));
  const missing = [...named].filter((name) => !recorded.has(name) && !new RegExp(`^${name}[{ ]`, "m").test(live));
  assert.deepEqual(missing, []);
});

test("docs/metrics.md has every metric with its type and meaning, and none that is not there", async () => {
  const live = (await metricsOf("origin-1")) + (await metricsOf("edge-1"));
  const types = new Map([...live.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]));
  const rows = [...live.matchAll(/^# HELP (\S+) (.+)$/gm)].map(
    ([, name, help]) => `${name} | ${types.get(name)} | ${help}`,
  );
  const document = readFileSync("docs/metrics.md", "utf8");
  const documented = [...document.matchAll(/^\| `(hearth_\w+)` +\| (\w+) +\| (.+?) +\|$/gm)].map(
    ([, name, type, help]) => `${name} | ${type} | ${help!.replaceAll("\\|", "|")}`,
  );
  assert.deepEqual(documented.toSorted(), [...new Set(rows)].toSorted());
  const known = new Set(types.keys());
  const named = [...document.matchAll(/`(hearth_\w+)/g)].map(([, name]) => name!);
  assert.deepEqual(
    named.filter((name) => !known.has(name)),
    [],
  );
});

test("everything an operator asks after has series of its own", async () => {
  const wanted: Readonly<Record<string, readonly string[]>> = {
    nodes: ['hearth_nodes{state="serving"}', 'hearth_node_state{state="serving"}'],
    streams: ["hearth_streams", 'hearth_stream_viewers{stream="default/app/stream"}'],
    pulls: ['hearth_pulls{phase="live"}', 'hearth_pull_tries_total{result="opened"}'],
    failovers: ["hearth_pull_failovers_total", 'hearth_stream_failovers_total{stream="default/app/stream"}'],
    outage: ["hearth_pull_outage_seconds_total", 'hearth_pull_losses_total{cause="silent"}'],
    "viewers by protocol": ["webrtc", "whep", "llhls"].map((protocol) => `hearth_viewers{protocol="${protocol}"}`),
    egress: ["hearth_egress_bytes_per_second", "hearth_egress_bytes_total"],
    loss: ['hearth_webrtc_loss_share{stream="default/app/stream"}'],
    "round trip": ['hearth_webrtc_round_trip_seconds{stream="default/app/stream"}'],
    "join time": ["webrtc", "llhls"].map((protocol) => `hearth_join_seconds_count{protocol="${protocol}"}`),
    "first media": ["webrtc", "llhls"].map((protocol) => `hearth_first_media_seconds_count{protocol="${protocol}"}`),
    "hop latency": ['hearth_stream_hop_seconds{stream="default/app/stream"}'],
    "glass to glass": ["webrtc", "llhls"].map(
      (protocol) => `hearth_stream_glass_to_glass_seconds{stream="default/app/stream",protocol="${protocol}"}`,
    ),
    "held requests": ["hearth_llhls_held_requests"],
    drops: ['hearth_webrtc_drops_total{stream="default/app/stream"}', "hearth_ovt_samples_dropped"],
    leases: ['hearth_leases{standing="owner"}'],
  };
  const missing = (text: string): string[] =>
    Object.entries(wanted).flatMap(([what, names]) =>
      names.filter((name) => !text.includes(`\n${name} `)).map((name) => `${what}: ${name}`),
    );
  const valueOf = (text: string, name: string): number => Number(text.split(`\n${name} `)[1]?.split("\n")[0]);
  let text = "";
  await until("all are there", 10_000, async () => {
    text = `\n${await metricsOf("origin-1")}\n${await metricsOf("edge-1")}`;
    if (missing(text).length > 0) throw new Error(missing(text).join(", "));
    return true;
  });
  const hop = valueOf(text, wanted["hop latency"]![0]!);
  assert.ok(hop >= 0 && hop < 30, `a hop within one machine takes ${hop} s`);
  const [webRtc, llhls] = wanted["glass to glass"]!.map((name) => valueOf(text, name));
  assert.ok(llhls! > webRtc!, `LL-HLS ${llhls} s, WebRTC ${webRtc} s: players hold back three parts`);
});

test("promtool takes the rules, and evaluates the dashboard's expressions as PromQL", () => {
  const rules = spawnSync("promtool", ["check", "rules", "infra/prometheus/rules.yaml"], { encoding: "utf8" });
  assert.equal(rules.status, 0, rules.stdout + rules.stderr);
  const config = spawnSync("promtool", ["check", "config", "--syntax-only", "infra/prometheus/prometheus.yaml"], {
    encoding: "utf8",
  });
  assert.equal(config.status, 0, config.stdout + config.stderr);
  const { panels } = JSON.parse(readFileSync("infra/grafana/hearth.json", "utf8")) as {
    panels: { targets: { expr: string }[] }[];
  };
  const groups = panels.flatMap(({ targets }) =>
    targets.map(({ expr }) => `      - record: x:y\n        expr: ${JSON.stringify(expr.replaceAll(/\$\w+/g, ".*"))}`),
  );
  const input = `groups:\n${groups.map((rule, index) => `  - name: g${index}\n    rules:\n${rule}`).join("\n")}\n`;
  const folder = mkdtempSync(join(tmpdir(), "hearth-rules-"));
  try {
    writeFileSync(join(folder, "dashboard.yaml"), input);
    const checked = spawnSync("promtool", ["check", "rules", join(folder, "dashboard.yaml")], { encoding: "utf8" });
    assert.equal(checked.status, 0, checked.stdout + checked.stderr);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the page about a stream shows its source, its way and its viewers, on origin and edge", async () => {
  const page = async (id: string) => (await fetch(`${operatorUrl(id)}/-/streams/default/app/stream`)).text();
  const edge = await page("edge-1");
  for (const text of ["ovt://", "origin-1 → edge-1", "h264", "whep 1", "pull is live"])
    assert.ok(edge.includes(text), text);
  // Who asked first and never again counts for some seconds, too.
  assert.match(edge, /llhls [12]\b/);
  assert.match(await page("origin-1"), /file:\/\/.*loop\.mp4/);
  assert.match(await (await fetch(`${operatorUrl("edge-1")}/-/streams`)).text(), /default\/app\/stream/);
});

test("the API answers at the operators' port: statistics, and a viewer sent away", async () => {
  const url = `${operatorUrl("edge-1")}/v1/vhosts/default/apps/app/streams/stream`;
  const listed = (await (await fetch(`${url}/viewers`)).json()) as { response: { id: string; protocol: string }[] };
  const whep = listed.response.find(({ protocol }) => protocol === "whep")!;
  const [viewer] = viewers as [WhepViewer];
  const before = viewer.nodes.length;
  assert.equal((await fetch(`${url}/viewers/${whep.id}`, { method: "DELETE" })).status, 200);
  await until("it noticed, and came back", 10_000, () => viewer.nodes.length > before);
});

test("one trace id leads from the router's decision over the edge to the origin", async () => {
  assert.deepEqual(
    first.map(({ status, headers }) => [status, headers.get("X-Hearth-Trace")]),
    [
      [302, trace],
      [200, trace],
    ],
  );
  const lines = ["router: viewer routed", "edge-1: pull begins", "edge-1: pull is live", "edge-1: llhls viewer came"];
  for (const line of [...lines, "origin-1: ovt session began", "edge-1: llhls viewer left"])
    await until(line, 15_000, () => saidUnder(trace).includes(line));
  // Media is asked for in nobody's name, so that a cache has one copy for all.
  const playlist = await first[1]!.text();
  assert.ok(!playlist.includes(trace) && !playlist.includes("rtid"), playlist);
  const media = await fetch(new URL(/^[^#].*$/m.exec(playlist)![0], first[1]!.url), { headers: { traceparent } });
  assert.equal(media.status, 200);
  assert.equal(media.headers.get("X-Hearth-Trace"), null);
});

test("a trace id that the router made is said by the node, too, over WHEP and over WebSocket", async () => {
  const init = { method: "POST", headers: { "Content-Type": "application/sdp" }, body: "no offer" };
  const [sent, answer] = await followed(`${cluster.url}/app/stream/whep`, init);
  assert.deepEqual([sent.status, answer.status], [307, 400]);
  const made = sent.headers.get("X-Hearth-Trace")!;
  assert.match(made, /^[\da-f]{32}$/);
  assert.equal(answer.headers.get("X-Hearth-Trace"), made);

  const socket = new WebSocket(`${cluster.url.replace("http", "ws")}/app/stream`);
  const [[{ headers }]] = (await Promise.all([once(socket, "upgrade"), once(socket, "open")])) as [
    [IncomingMessage],
    [],
  ];
  const id = String(headers["x-hearth-trace"]);
  assert.match(id, /^[\da-f]{32}$/);
  socket.send(JSON.stringify({ command: "request_offer" }));
  await once(socket, "message");
  socket.close();
  for (const line of ["router: viewer routed", "edge-1: viewer left"])
    await until(line, 10_000, () => saidUnder(id).includes(line));
});

test("signalling that the router manages carries the viewer's trace id to the node", async () => {
  const id = "0af7651916cd43dd8448eb211c80319c";
  const headers = { traceparent: `00-${id}-b7ad6b7169203331-01` };
  const socket = new WebSocket(`${cluster.url.replace("http", "ws")}/app/stream?managed=1`, { headers });
  const commands: string[] = [];
  socket.on("message", (data: Buffer) => commands.push((JSON.parse(data.toString()) as { command: string }).command));
  await once(socket, "open");
  socket.send(JSON.stringify({ command: "request_offer" }));
  await until("an offer", 10_000, () => commands.includes("offer"));
  socket.close();
  for (const line of ["router: viewer routed", "edge-1: viewer left"])
    await until(line, 10_000, () => saidUnder(id).includes(line));
});

test("a node reached without a router makes an id, and takes none that is none", async () => {
  const url = `${cluster.ready.get("edge-1")!.url}/app/stream/whep`;
  const head = async (query: string, traceparent: string): Promise<string> => {
    const answer = await fetch(`${url}${query}`, { method: "HEAD", headers: { traceparent } });
    return String(answer.headers.get("X-Hearth-Trace"));
  };
  assert.equal(await head("", traceparent), trace);
  assert.equal(await head(`?rtid=${trace}`, "none"), trace);
  for (const query of ["?rtid=%22%7D", `?rtid=${"f".repeat(4_000)}`, `?rtid=${trace}0`, ""]) {
    const made = await head(query, "00-<script>");
    assert.match(made, /^[\da-f]{32}$/);
    assert.notEqual(made, trace);
    assert.notEqual(made, "f".repeat(32));
  }
});

test("no secret is in logs, metrics, pages or answers, whatever went wrong", async () => {
  const edge = operatorUrl("edge-1");
  const [, camera, query, bearer, session] = canaries;
  const authorization = `Bearer ${bearer}`;
  const body = JSON.stringify({ name: "broken", urls: [`rtsp://viewer:${camera}@127.0.0.1:1/live?key=${query}`] });
  const answers = [
    await fetch(`${edge}/v1/vhosts/default/apps/app/streams`, { method: "POST", body }),
    await fetch(`${cluster.url}/app/stream/llhls.m3u8?policy=${query}&signature=${query}`, { redirect: "manual" }),
    await fetch(`${cluster.ready.get("edge-1")!.url}/app/stream/llhls.m3u8?rt=${query}`),
    await fetch(`${cluster.ready.get("edge-1")!.url}/app/stream/whep`, { method: "POST", body: query! }),
    // WHEP carries SignedPolicy as a bearer token, too; operators and the API show theirs so.
    await fetch(`${cluster.url}/app/stream/whep`, { method: "POST", headers: { authorization }, redirect: "manual" }),
    await fetch(`${cluster.ready.get("edge-1")!.url}/app/stream/whep`, { method: "POST", headers: { authorization } }),
    await fetch(`${edge}/metrics`, { headers: { authorization } }),
    await fetch(`${cluster.url}/-/explain/app/stream`, { headers: { authorization } }),
    await fetch(`${cluster.ready.get("edge-1")!.url}/app/stream/chunklist_0_video_llhls.m3u8?session=${session}`),
  ];
  const texts = await Promise.all(answers.map((answer) => answer.text()));
  const pages = ["/metrics", "/-/node", "/-/streams", "/-/streams/default/app/stream", "/-/streams/default/app/broken"];
  for (const id of ["origin-1", "edge-1"])
    for (const path of [...pages, "/v1/vhosts/default", "/v1/vhosts/default/apps/app/streams/stream"])
      texts.push(await (await fetch(`${operatorUrl(id)}${path}`)).text());
  texts.push(...logs);
  assert.ok(
    logs.some((line) => line.includes("pull")),
    "the run was logged",
  );
  for (const canary of canaries)
    assert.deepEqual(
      texts.filter((text) => text.includes(canary)),
      [],
    );
  // Tickets and session tokens admit whoever has them.
  assert.deepEqual(
    logs.filter((line) => /[?&"](rt|session)=/.test(line)),
    [],
  );
});
