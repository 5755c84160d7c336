import assert from "node:assert/strict";
import { test } from "node:test";
import { compareConfigs } from "./compare-configs.ts";
import { parseServerXml } from "./parse-server-xml.ts";
import type { ServerConfig } from "./server-config.ts";

interface Parts {
  readonly rules?: readonly string[];
  readonly port?: number;
  readonly grace?: number;
  readonly vhosts?: readonly string[];
}

function configOf({ rules = ["/a/", "/b/"], port = 9000, grace = 30_000, vhosts = ["main"] }: Parts): ServerConfig {
  const origins = rules.map((rule) => {
    const [location, url = "o:9000/x/"] = rule.split(" ");
    return `<Origin><Location>${location}</Location><Pass><Scheme>ovt</Scheme><Urls><Url>${url}</Url></Urls></Pass></Origin>`;
  });
  const all = vhosts.map(
    (name) => `<VirtualHost><Name>${name}</Name><Origins>${origins.join("")}</Origins></VirtualHost>`,
  );
  const { config, problems } = parseServerXml(
    `<Server version="8"><Type>edge</Type><IP>*</IP><Bind><Publishers><OVT><Port>${port}</Port></OVT></Publishers></Bind>
     <VirtualHosts>${all.join("")}</VirtualHosts><Hearth><GraceTimeout>${grace}</GraceTimeout></Hearth></Server>`,
    { path: "f", env: {} },
  );
  assert.ok(config, JSON.stringify(problems));
  return config;
}

const compare = (before: Parts, next: Parts) => compareConfigs(configOf(before), configOf(before), configOf(next));

test("the same file changes nothing", () => {
  assert.deepEqual(compare({}, {}), { changes: [], needRestart: [] });
});

test("rules that came, went and changed are counted; their order counts, too", () => {
  assert.deepEqual(compare({}, { rules: ["/a/ other:9000/x/", "/c/", "/d/"] }).changes, [
    '2 rules of "main" added',
    '1 rule of "main" changed',
    '1 rule of "main" removed',
  ]);
  assert.deepEqual(compare({}, { rules: ["/b/", "/a/"] }).changes, ['rules of "main" in another order']);
});

test("virtual hosts that came, went and moved are named", () => {
  assert.deepEqual(compare({}, { vhosts: ["main", "more"] }).changes, ['virtual host "more" added']);
  assert.deepEqual(compare({ vhosts: ["main", "more"] }, {}).changes, ['virtual host "more" removed']);
  assert.deepEqual(compare({ vhosts: ["a", "b"] }, { vhosts: ["b", "a"] }).changes, ["virtual hosts in another order"]);
});

test("a port needs a restart, however many reloads there are until then", () => {
  const started = configOf({});
  const moved = configOf({ port: 9001 });
  assert.deepEqual(compareConfigs(started, started, moved).needRestart, ["Server/Bind/Publishers/OVT"]);
  const further = configOf({ port: 9001, grace: 1_000 });
  assert.deepEqual(compareConfigs(started, moved, further), {
    changes: ["settings of the server changed"],
    needRestart: ["Server/Bind/Publishers/OVT"],
  });
});

/** With ports for everything, and what is given of publishers and certificates. */
function doorsOf({ publishers = "<OVT/>", tls = false }): ServerConfig {
  const ports = "<Port>3333</Port><TLSPort>3334</TLSPort>";
  const certificate = "<TLS><CertPath>c.pem</CertPath><KeyPath>k.pem</KeyPath></TLS>";
  const { config, problems } = parseServerXml(
    `<Server version="8"><Type>edge</Type><IP>*</IP><Bind>
     <Publishers><LLHLS>${ports}</LLHLS><WebRTC><Signalling>${ports}</Signalling></WebRTC></Publishers></Bind>
     <VirtualHosts><VirtualHost><Name>main</Name><Host><Names><Name>*</Name></Names>${tls ? certificate : ""}</Host>
     <Applications><Application><Name>app</Name><Type>live</Type><Publishers>${publishers}</Publishers></Application>
     </Applications></VirtualHost></VirtualHosts></Server>`,
    { path: "f", env: {} },
  );
  assert.ok(config, JSON.stringify(problems));
  return config;
}

test("a door that would open with a first publisher or certificate needs a restart; one that closes does not", () => {
  const needed = (before: object, next: object): readonly string[] =>
    compareConfigs(doorsOf(before), doorsOf(before), doorsOf(next)).needRestart;
  const publishers = "Server/VirtualHosts/VirtualHost/Applications/Application/Publishers";
  const both = { publishers: "<LLHLS/><WebRTC/>" };
  assert.deepEqual(needed({}, both), [`${publishers}/WebRTC`, `${publishers}/LLHLS`]);
  assert.deepEqual(needed(both, {}), []);
  assert.deepEqual(needed({ publishers: "<LLHLS/>" }, both), [`${publishers}/WebRTC`]);
  assert.deepEqual(needed({ publishers: "<LLHLS/>" }, { publishers: "<LLHLS/><HLS/>" }), [`${publishers}/HLS`]);
  assert.deepEqual(needed(both, { ...both, tls: true }), ["Server/VirtualHosts/VirtualHost/Host/TLS"]);
  assert.deepEqual(needed({ ...both, tls: true }, both), []);
});
