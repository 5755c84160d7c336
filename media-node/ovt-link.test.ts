// Who gets a stream from a node's OVT port, by its Server.xml and its secret: real nodes and raw peers on loopback.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { requestBytes } from "../test/support/scripted-edge.ts";
import { until } from "../test/support/until.ts";
import { parseServerXml } from "./config/parse-server-xml.ts";
import { SettingError } from "./flow/errors.ts";
import { silentLogger } from "./flow/logger.ts";
import { startNode, type RunningNode } from "./node.ts";
import { systemClock } from "./time/clock.ts";

const secret = "a secret of the whole cluster, long enough";
const cam = { vhost: "default", app: "app", stream: "cam" };
const clip = new URL("../infra/laptop/loop.mp4", import.meta.url).pathname;

function serverXml(rule: string, { bind = "", hearth = "" } = {}): string {
  return `<Server version="8"><Type>origin</Type><IP>127.0.0.1</IP><Hearth>${hearth}</Hearth><Bind>${bind}</Bind>
<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host>
<Origins><Origin><Location>/app/cam</Location><Pass>${rule}</Pass></Origin></Origins>
<Applications><Application><Name>app</Name><Type>live</Type><Providers><OVT/></Providers><Publishers><OVT/></Publishers>
</Application></Applications></VirtualHost></VirtualHosts></Server>`;
}

async function start(xml: string, env: Record<string, string>): Promise<RunningNode> {
  const { config, problems } = parseServerXml(xml, { path: "Server.xml", env });
  assert.ok(config, JSON.stringify(problems));
  return startNode({ config, env, clock: systemClock, logger: silentLogger });
}

const startOrigin = (hearth: string, env: Record<string, string> = { HEARTH_SECRET: secret }): Promise<RunningNode> => {
  const bind = "<Publishers><OVT><Port>0</Port></OVT></Publishers>";
  return start(serverXml(`<Scheme>file</Scheme><Urls><Url>${clip}</Url></Urls>`, { bind, hearth }), env);
};

/** Whether a Hearth edge with this environment gets media of the stream. */
async function edgeGets(origin: RunningNode, env: Record<string, string>): Promise<boolean> {
  const rule = `<Scheme>ovt</Scheme><Urls><Url>127.0.0.1:${origin.ovtPort}/app/cam</Url></Urls>`;
  const edge = await start(serverXml(rule), env);
  try {
    const result = await edge.hub.acquire(cam, { protocol: "whep" });
    if (result.kind !== "stream") return false;
    const { stream } = result.hold;
    return await until("samples", 10_000, () => stream.stats.samples > 10);
  } finally {
    await edge.close({ code: "test" });
  }
}

/** All that a peer without a token gets to see that asks from `localAddress`, as OvenMediaEngine does: in plain text. */
async function bytesFor(origin: RunningNode, localAddress: string): Promise<Buffer> {
  const socket = connect({ port: origin.ovtPort!, host: "127.0.0.1", localAddress });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => {});
  await once(socket, "connect");
  const target = "ovt://127.0.0.1/app/cam";
  socket.write(requestBytes({ application: "describe", id: 1, target }));
  await until("an answer", 10_000, () => chunks.length > 0 || socket.closed);
  socket.write(requestBytes({ application: "play", id: 2, target }));
  await until("media", 10_000, () => Buffer.concat(chunks).length > 20_000 || socket.closed);
  socket.destroy();
  return Buffer.concat(chunks);
}

test("with <OvtLink> and a secret, a token or a trusted address opens the port", async () => {
  const origin = await startOrigin("<OvtLink><TrustedPeers><Peer>127.0.0.2</Peer></TrustedPeers></OvtLink>");
  try {
    assert.equal(await edgeGets(origin, { HEARTH_SECRET: secret }), true);
    assert.equal(await edgeGets(origin, { HEARTH_SECRET: "another secret, quite as long as the first" }), false);
    assert.equal(await edgeGets(origin, {}), false);
    assert.deepEqual(await bytesFor(origin, "127.0.0.1"), Buffer.alloc(0), "no stream's name and no byte");
    const seen = await bytesFor(origin, "127.0.0.2");
    assert.ok(seen.includes('"cam"') && seen.length > 20_000, "a trusted peer pulls in plain text");
  } finally {
    await origin.close({ code: "test" });
  }
});

test("a network of peers can be trusted", async () => {
  const origin = await startOrigin("<OvtLink><TrustedPeers><Peer>127.0.0.0/30</Peer></TrustedPeers></OvtLink>");
  try {
    assert.ok((await bytesFor(origin, "127.0.0.3")).length > 0);
    assert.equal((await bytesFor(origin, "127.0.0.4")).length, 0);
  } finally {
    await origin.close({ code: "test" });
  }
});

test("a secret alone, or RequireToken false, leaves the port open to OvenMediaEngine edges", async () => {
  for (const hearth of ["", "<OvtLink><RequireToken>false</RequireToken></OvtLink>"]) {
    const origin = await startOrigin(hearth);
    try {
      assert.ok((await bytesFor(origin, "127.0.0.1")).length > 20_000);
    } finally {
      await origin.close({ code: "test" });
    }
  }
});

test("a node that shall ask for tokens does not start without the secret that signs them", async () => {
  await assert.rejects(startOrigin("<OvtLink><RequireToken>true</RequireToken></OvtLink>", {}), SettingError);
});
