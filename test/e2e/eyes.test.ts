// What operators see of a running cluster: metrics that Prometheus takes, rules and dashboards that name what is there, a
// page about each stream.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startLaptopCluster, type LaptopCluster } from "../../infra/laptop/cluster.ts";
import { HlsViewer } from "../support/hls-viewer.ts";
import { until } from "../support/until.ts";
import { WhepViewer } from "../support/whep-viewer.ts";

let cluster: LaptopCluster;
let viewers: (WhepViewer | HlsViewer)[] = [];
const logs: string[] = [];
/** Secrets of this run; none may be seen anywhere. */
const canaries = ["canary-of-the-cluster-secret", "canary-of-a-camera", "canary-in-a-query"];

before(async () => {
  cluster = await startLaptopCluster({
    routerPort: 0,
    edges: 1,
    secret: canaries[0],
    nodeEnv: { HEARTH_LOG_LEVEL: "debug" },
    onLog: (_node, line) => void logs.push(line),
  });
  viewers = [new WhepViewer(`${cluster.url}/app/stream/whep`), new HlsViewer(`${cluster.url}/app/stream/llhls.m3u8`)];
  await until("both watch", 20_000, () => viewers.every(({ node }) => node !== undefined));
});

after(async () => {
  await Promise.all(viewers.map((viewer) => viewer.close()));
  await cluster?.close();
});

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
  for (const text of ["ovt://", "origin-1 → edge-1", "h264", "whep 1", "llhls 1", "pull is live"])
    assert.ok(edge.includes(text), text);
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

test("no secret is in logs, metrics, pages or answers, whatever went wrong", async () => {
  const edge = operatorUrl("edge-1");
  const [, camera, query] = canaries;
  const body = JSON.stringify({ name: "broken", urls: [`rtsp://viewer:${camera}@127.0.0.1:1/live?key=${query}`] });
  const answers = [
    await fetch(`${edge}/v1/vhosts/default/apps/app/streams`, { method: "POST", body }),
    await fetch(`${cluster.url}/app/stream/llhls.m3u8?policy=${query}&signature=${query}`, { redirect: "manual" }),
    await fetch(`${cluster.ready.get("edge-1")!.url}/app/stream/llhls.m3u8?rt=${query}`),
    await fetch(`${cluster.ready.get("edge-1")!.url}/app/stream/whep`, { method: "POST", body: query! }),
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
