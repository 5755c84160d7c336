// The recorded verdicts on configuration files, and the blocks of the documentation (test/fixtures/config/README.md).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parseServerXml } from "#config/parse-server-xml.ts";

const fixture = (name: string): string => readFileSync(new URL(`../fixtures/config/${name}`, import.meta.url), "utf8");
const parse = (xml: string, env: Record<string, string> = {}) => parseServerXml(xml, { path: "Server.xml", env });

interface ConfigVector {
  readonly name: string;
  readonly xml: string;
  readonly ok: boolean;
  readonly error: string | null;
}
const { config: vectors }: { readonly config: readonly ConfigVector[] } = JSON.parse(fixture("vectors.json"));

/** Refused by OvenMediaEngine; Hearth reads these two shapes of older documentation, with a warning at the same place. */
const readWithWarning = new Set(["02_seed_fqp_in_origin", "20_seed_origin_example"]);

/** `Server/VirtualHosts/VirtualHost[1]/Origins` as OvenMediaEngine prints it: from the nearest list item on. */
const shortPath = (path: string): string => {
  const steps = path.split("/");
  const item = steps.findLastIndex((step) => step.endsWith("]"));
  const from = item === steps.length - 1 ? item - 1 : item;
  return steps
    .slice(Math.max(0, from))
    .join(".")
    .replace(/\[\d+\]/g, "")
    .toLowerCase();
};

for (const { name, xml, ok, error } of vectors) {
  test(`Server.xml ${name}: ${error ?? "loads"}`, () => {
    const { config, problems } = parse(xml, { FOO_EMPTY: "" });
    const errors = problems.filter(({ severity }) => severity === "error");
    if (ok || readWithWarning.has(name)) assert.deepEqual(errors, []);
    else assert.notEqual(errors.length, 0);
    assert.equal(config !== undefined, errors.length === 0);
    const place = error && /^(?:Unknown item found: (\S+)|(\S+) is not optional)$/.exec(error);
    if (!place) return;
    const wanted = (place[1] ?? place[2])!.toLowerCase();
    const seen = problems.map(({ path }) => shortPath(path.replace("/@", "/")));
    assert.ok(seen.includes(wanted), `${wanted} is not among ${seen.join(", ")}`);
  });
}

/** What stands around a block in a server that is as small as it can be. */
const around: Record<string, (block: string) => string> = {
  origin: (block) => block,
  "origin-map": (block) => `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/>${block}</Server>`,
  "renamed-application": (block) =>
    `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts><VirtualHost><Name>default</Name>` +
    `<Origins><Origin>${block}</Origin></Origins></VirtualHost></VirtualHosts></Server>`,
  "origin-map-store": (block) =>
    `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts>${block}</VirtualHosts></Server>`,
  "dynamic-application": (block) =>
    `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts><VirtualHost><Name>default</Name>${block}` +
    `</VirtualHost></VirtualHosts></Server>`,
};

for (const [name, wrap] of Object.entries(around)) {
  test(`the documentation's block "${name}" loads as printed`, () => {
    const { config, problems } = parse(wrap(fixture(`documentation/${name}.xml`)));
    assert.deepEqual(
      problems.filter(({ severity }) => severity === "error"),
      [],
    );
    assert.ok(config);
    assert.deepEqual(JSON.parse(JSON.stringify(config)), config);
  });
}

test("the documentation's blocks say what they say", () => {
  const load = (name: string) => parse(around[name]!(fixture(`documentation/${name}.xml`))).config!;
  assert.equal(load("origin").bind.ovtPort, 9000);
  assert.equal(load("origin").vhosts[0]!.applications[0]!.publishers.ovt, true);
  const { rules, properties } = load("origin-map").vhosts[0]!.origins;
  assert.deepEqual(properties, {
    noInputFailoverTimeoutMs: 3000,
    unusedStreamDeletionTimeoutMs: 60_000,
    streamFailbackTimeoutMs: 3000,
  });
  assert.deepEqual(
    rules.map(({ location, scheme, urls }) => [location, scheme, ...urls]),
    [
      ["/app/stream", "ovt", "origin.com:9000/app/stream_720p"],
      ["/app/", "OVT", "origin.com:9000/app/"],
      ["/", "RTSP", "origin2.com:9000/"],
    ],
  );
  assert.equal(rules[0]!.forwardQueryParams, true);
  assert.deepEqual(load("origin-map-store").vhosts[0]!.originMapStore, {
    redis: { host: "192.168.0.160", port: 6379, auth: "!@#ovenmediaengine" },
    originHostName: "ome-dev.airensoft.com",
  });
  const [application] = load("dynamic-application").vhosts[0]!.applications;
  assert.equal(application!.isTemplate, true);
  assert.deepEqual(application!.providers, ["ovt"]);
  assert.equal(application!.publishers.llhls!.chunkDurationMs, 500);
  assert.deepEqual(application!.publishers.llhls!.crossDomains!.urls, ["*"]);
});
