import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { parseServerXml } from "./config/parse-server-xml.ts";
import { silentLogger } from "./flow/logger.ts";
import { startNode, type RunningNode } from "./node.ts";
import { systemClock } from "./time/clock.ts";

const clip = new URL("../infra/laptop/loop.mp4", import.meta.url).pathname;

interface Written {
  readonly bind?: string;
  readonly publishers: string;
  readonly policy?: string;
}

const xml = ({ bind = "<LLHLS><Port>0</Port></LLHLS>", publishers, policy = "" }: Written): string =>
  `<Server version="8"><Type>edge</Type><IP>127.0.0.1</IP><Bind><Publishers>${bind}</Publishers></Bind>
<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host>${policy}
<Origins><Origin><Location>/app/cam</Location><Pass><Scheme>file</Scheme><Urls><Url>${clip}</Url></Urls></Pass></Origin></Origins>
<Applications><Application><Name>app</Name><Type>live</Type><Publishers>${publishers}</Publishers></Application></Applications>
</VirtualHost></VirtualHosts></Server>`;

interface Started {
  /** Of the stream. */
  readonly base: string;
  readonly node: RunningNode;
}

async function start(t: TestContext, written: Written): Promise<string> {
  return (await startBoth(t, written)).base;
}

async function startBoth(t: TestContext, written: Written): Promise<Started> {
  const readConfig = () => parseServerXml(xml(written), { path: "Server.xml", env: {} });
  const { config, problems } = readConfig();
  assert.ok(config, JSON.stringify(problems));
  const node = await startNode({ config, readConfig, env: {}, clock: systemClock, logger: silentLogger });
  t.after(() => node.close({ code: "test" }));
  return { base: `${node.url}/app/cam`, node };
}

const hls = "<HLS><SegmentDuration>1</SegmentDuration><SegmentCount>4</SegmentCount></HLS>";
const llhls = "<LLHLS><ChunkDuration>0.2</ChunkDuration><SegmentDuration>1</SegmentDuration></LLHLS>";

test("one node serves LL-HLS and MPEG-TS at the same port, each by its names", { timeout: 60_000 }, async (t) => {
  const { base, node } = await startBoth(t, { publishers: `${llhls}${hls}` });
  const text = async (file: string): Promise<string> => (await fetch(`${base}/${file}`)).text();
  const master = await text("ts:playlist.m3u8");
  assert.match(master, /^#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=\d+/);
  const segment = /^seg_\S+\.ts$/m.exec(await text(/^medialist_\S+/m.exec(master)![0]))![0];
  const answer = await fetch(`${base}/${segment}`);
  assert.deepEqual([answer.status, answer.headers.get("content-type")], [200, "video/mp2t"]);
  await answer.arrayBuffer();
  assert.match(await text("llhls.m3u8"), /\nchunklist_\d+_video/);
  assert.equal((await fetch(`${base}/playlist.m3u8`)).status, 404);
  assert.deepEqual(node.hub.list()[0]!.viewers, { hls: 1, llhls: 1 }, "each counts under the protocol it watches by");
});

test("HLS alone opens its own port, has the plain name and its own CrossDomains", { timeout: 60_000 }, async (t) => {
  const crossDomains = "<CrossDomains><Url>https://a.example.com</Url></CrossDomains>";
  const publishers = hls.replace("</HLS>", `${crossDomains}</HLS>`);
  const base = await start(t, { bind: "<HLS><Port>0</Port></HLS>", publishers });
  const answer = await fetch(`${base}/playlist.m3u8`, { headers: { Origin: "https://a.example.com" } });
  assert.deepEqual([answer.status, answer.headers.get("access-control-allow-origin")], [200, "https://a.example.com"]);
  assert.match(await answer.text(), /^medialist_/m);
  assert.equal((await fetch(`${base}/llhls.m3u8`)).status, 404);
});

test("a policy that covers hlsv3 guards MPEG-TS, and LL-HLS with it", { timeout: 60_000 }, async (t) => {
  const policy = `<SignedPolicy><PolicyQueryKeyName>policy</PolicyQueryKeyName>
<SignatureQueryKeyName>signature</SignatureQueryKeyName><SecretKey>k3y</SecretKey>
<Enables><Publishers>hlsv3</Publishers></Enables></SignedPolicy>`;
  const base = await start(t, { publishers: `${llhls}${hls}`, policy });
  for (const file of ["ts:playlist.m3u8", "llhls.m3u8", "llhls.m3u8?format=ts"]) {
    assert.equal((await fetch(`${base}/${file}`)).status, 401, file);
  }
});
