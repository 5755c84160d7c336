// How long does a node read its configuration? CPU time of the thread to load a Server.xml of 1 MiB with some 4,600 rules,
// the first time in a fresh process, beside what fast-xml-parser needs for a validated tree of its own. Wanted: at most
// 200 ms.
import assert from "node:assert/strict";
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { parseServerXml } from "../../media-node/config/parse-server-xml.ts";

const wantedMs = 200;
const head =
  '<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts><VirtualHost><Name>default</Name>' +
  "<Host><Names><Name>*</Name></Names></Host><Origins>";
const tail =
  "</Origins><Applications><Application><Name>*</Name><Type>live</Type><Providers><OVT/></Providers></Application>" +
  "</Applications></VirtualHost></VirtualHosts></Server>";

let text = head;
let rules = 0;
for (; text.length < 1024 * 1024 - 1_024; rules++) {
  const name = `stream-${String(rules).padStart(5, "0")}`;
  text += `
        <Origin>
          <Location>/app/${name}</Location>
          <Pass>
            <Scheme>ovt</Scheme>
            <Urls><Url>origin1.example.com:9000/app/${name}</Url></Urls>
          </Pass>
        </Origin>`;
}
text += tail;

function cpuMs(work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1_000;
}

function load(): void {
  const { config, problems } = parseServerXml(text, { path: "Server.xml", env: {} });
  assert.deepEqual(problems, []);
  assert.equal(config?.vhosts[0]?.origins.rules.length, rules);
}

function makeTree(): void {
  assert.equal(XMLValidator.validate(text), true);
  assert.ok(new XMLParser({ preserveOrder: true, captureMetaData: true, processEntities: false }).parse(text));
}

const firstMs = cpuMs(load);
const treeMs = cpuMs(makeTree);
const warm = Array.from({ length: 9 }, () => cpuMs(load)).toSorted((a, b) => a - b);
const warmMs = warm[warm.length >> 1]!;
const [first, median, tree] = [firstMs, warmMs, treeMs].map(Math.round);
const figures = { bytes: text.length, rules, firstMs: first, warmMs: median, treeMs: tree, wantedMs };
console.log(`server-xml-1-mib: ${(firstMs / treeMs).toFixed(2)} × the time of the library's own tree`, figures);
process.exitCode = firstMs <= wantedMs ? 0 : 1;
