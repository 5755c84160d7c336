import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { test, type TestContext } from "node:test";
import { readMetrics } from "../test/support/metrics.ts";
import { freePort } from "../test/support/redis-server.ts";
import { until } from "../test/support/until.ts";
import { WhepViewer } from "../test/support/whep-viewer.ts";
import { parseServerXml } from "./config/parse-server-xml.ts";
import { silentLogger } from "./flow/logger.ts";
import { startNode } from "./node.ts";
import type { NodeMessage } from "./node-message.ts";
import { systemClock } from "./time/clock.ts";

const clip = new URL("../infra/laptop/loop.mp4", import.meta.url).pathname;
const llhls = { bind: "<LLHLS><Port>0</Port></LLHLS>", publisher: "<LLHLS />" };

/** A node with WebRTC and what else is given. @returns its metrics once a viewer gets media */
async function watched(
  t: TestContext,
  { bind = "", publisher = "", viewers = 1, port = 0 },
): Promise<Map<string, number>> {
  const xml = `<Server version="8"><Type>edge</Type><IP>127.0.0.1</IP>
<Hearth ignore="true"><Node><PublicUrl>http://127.0.0.1</PublicUrl></Node><OperatorPort>0</OperatorPort>
<AdvertisedAddresses><Address>127.0.0.1</Address></AdvertisedAddresses></Hearth>
<Bind><Publishers>${bind}<WebRTC><Signalling><Port>0</Port></Signalling>
<IceCandidates><IceCandidate>127.0.0.1:${port}/udp</IceCandidate></IceCandidates></WebRTC></Publishers></Bind>
<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host>
<Origins><Origin><Location>/app/cam</Location><Pass><Scheme>file</Scheme><Urls><Url>${clip}</Url></Urls></Pass></Origin></Origins>
<Applications><Application><Name>app</Name><Type>live</Type><Publishers><WebRTC />${publisher}</Publishers></Application></Applications>
</VirtualHost></VirtualHosts></Server>`;
  const { config, problems } = parseServerXml(xml, { path: "Server.xml", env: {} });
  assert.ok(config, JSON.stringify(problems));
  const said: NodeMessage[] = [];
  const onMessage = (message: NodeMessage): void => void said.push(message);
  const node = await startNode({ config, env: {}, clock: systemClock, logger: silentLogger, onMessage });
  t.after(() => node.close({ code: "test" }));
  const ready = said.find(({ type }) => type === "ready");
  assert.ok(ready?.type === "ready" && ready.operatorPort !== undefined);
  const audience = Array.from({ length: viewers }, () => new WhepViewer(`${node.url}/app/cam/whep`));
  t.after(() => Promise.all(audience.map((viewer) => viewer.close())));
  await until("every viewer to get media", 20_000, () => audience.every(({ packets }) => packets > 20));
  assert.deepEqual(
    audience.flatMap(({ failures }) => failures),
    [],
  );
  return readMetrics(ready.operatorPort);
}

test("beside LL-HLS the first WebRTC viewers are served by a thread of their own", async (t) => {
  const metrics = await watched(t, { ...llhls, viewers: 3 });
  assert.equal(metrics.get("hearth_webrtc_workers"), 1);
  assert.equal(metrics.get("hearth_webrtc_sessions"), 3);
});

test("where there is one port, that thread has it", async (t) => {
  // Free for TCP, of which other programs hold many; for UDP, too, but by a rare chance.
  const port = await freePort();
  assert.equal((await watched(t, { ...llhls, port })).get("hearth_webrtc_workers"), 1);
});

test("WebRTC alone: viewers are kept away from signalling where there is a second core", async (t) => {
  assert.equal((await watched(t, {})).get("hearth_webrtc_workers"), availableParallelism() > 1 ? 1 : 0);
});

test("StreamWorkerCount 0 keeps them in the main thread", async (t) => {
  const metrics = await watched(t, { publisher: "<StreamWorkerCount>0</StreamWorkerCount>" });
  assert.equal(metrics.get("hearth_webrtc_workers"), 0);
});
