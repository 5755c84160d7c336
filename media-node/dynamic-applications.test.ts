// Applications made from the template `*`, on whole nodes: by any protocol, only for streams that exist, and for nobody else.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { WebSocket } from "ws";
import { startFromXml } from "../test/support/failover-world.ts";
import { until } from "../test/support/until.ts";
import type { RunningNode } from "./node.ts";

const clip = new URL("../infra/laptop/loop.mp4", import.meta.url).pathname;

const nodeXml = (
  origins: string,
  template: string,
  bind = "",
): string => `<Server version="8"><Type>edge</Type><IP>127.0.0.1</IP>
<Hearth ignore="true"><Node><PublicUrl>http://127.0.0.1</PublicUrl></Node></Hearth>
<Bind><Publishers><OVT><Port>0</Port></OVT>${bind}</Publishers></Bind>
<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host><Origins>
<Properties><UnusedStreamDeletionTimeout>300</UnusedStreamDeletionTimeout></Properties>${origins}</Origins>
<Applications><Application><Name>*</Name><Type>live</Type>${template}</Application></Applications></VirtualHost></VirtualHosts></Server>`;

const rule = (location: string, scheme: string, url: string): string =>
  `<Origin><Location>${location}</Location><Pass><Scheme>${scheme}</Scheme><Urls><Url>${url}</Url></Urls></Pass></Origin>`;
const doors = `<LLHLS><Port>0</Port></LLHLS><WebRTC><Signalling><Port>0</Port></Signalling>
<IceCandidates><IceCandidate>127.0.0.1:0/udp</IceCandidate></IceCandidates></WebRTC>`;
const everyPublisher = `<Providers><OVT/></Providers><Publishers><OVT/><WebRTC/>
<LLHLS><ChunkDuration>0.2</ChunkDuration><SegmentDuration>1</SegmentDuration></LLHLS></Publishers>`;

/** An origin that has `/new/stream` alone, and an edge that has no application but the template. */
async function cluster(t: TestContext, template = everyPublisher): Promise<{ origin: RunningNode; edge: RunningNode }> {
  const origin = await startFromXml(nodeXml(rule("/new/stream", "file", clip), "<Publishers><OVT/></Publishers>"));
  t.after(() => origin.close({ code: "done" }));
  const edge = await startFromXml(nodeXml(rule("/", "ovt", `127.0.0.1:${origin.ovtPort}/`), template, doors));
  t.after(() => edge.close({ code: "done" }));
  return { origin, edge };
}

async function offerOf(url: string): Promise<number> {
  const socket = new WebSocket(url.replace("http", "ws"));
  await once(socket, "open");
  socket.send(JSON.stringify({ command: "request_offer" }));
  const [message] = await once(socket, "message");
  socket.close();
  return (JSON.parse(String(message)) as { code: number }).code;
}

test(
  "first requests by every protocol at once make one application with one pull, and all are served",
  { timeout: 60_000 },
  async (t) => {
    const { edge } = await cluster(t);
    const tier = await startFromXml(nodeXml(rule("/", "ovt", `127.0.0.1:${edge.ovtPort}/`), everyPublisher, doors));
    t.after(() => tier.close({ code: "done" }));
    const [{ url }, { url: tierUrl }] = [edge, tier];
    const llhls = async (base = url): Promise<number> => (await fetch(`${base}/new/stream/llhls.m3u8`)).status;
    const answers = await Promise.all([
      llhls(),
      llhls(),
      offerOf(`${url}/new/stream`),
      offerOf(`${url}/new/stream`),
      llhls(tierUrl),
      offerOf(`${url}/new/stream`),
    ]);
    assert.deepEqual(
      answers,
      answers.map(() => 200),
    );
    assert.equal(edge.hub.counters.tries.opened, 1);
    assert.equal(edge.hub.list().length, 1);
  },
);

test("a name that the source does not confirm leaves nothing behind", { timeout: 60_000 }, async (t) => {
  const { edge, origin } = await cluster(t);
  for (const name of ["other/stream", "new/other", "x/y"]) {
    assert.equal((await fetch(`${edge.url}/${name}/llhls.m3u8`)).status, 404, name);
    assert.notEqual(await offerOf(`${edge.url}/${name}`), 200, name);
  }
  assert.deepEqual([edge.hub.list(), origin.hub.list()], [[], []]);
});

test(
  "an application is gone with its last stream, and comes again with the next request",
  { timeout: 60_000 },
  async (t) => {
    const { edge } = await cluster(t);
    for (let round = 0; round < 2; round++) {
      assert.equal(await offerOf(`${edge.url}/new/stream`), 200);
      await until("nobody holds it any more", 10_000, () => edge.hub.list().length === 0);
    }
  },
);

test(
  "what the template does not publish is not to be had; what a rule names is pulled, whatever the template provides",
  { timeout: 60_000 },
  async (t) => {
    const { edge } = await cluster(t, "<Providers><OVT/></Providers><Publishers><WebRTC/></Publishers>");
    assert.equal((await fetch(`${edge.url}/new/stream/llhls.m3u8`)).status, 404);
    assert.equal(await offerOf(`${edge.url}/new/stream`), 200);
    const { edge: other } = await cluster(t, "<Providers><RTSPPull/></Providers><Publishers><WebRTC/></Publishers>");
    assert.equal(await offerOf(`${other.url}/new/stream`), 200);
  },
);
