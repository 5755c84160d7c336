// Who gets a stream from a node's OVT port, by its Server.xml and its secret: real nodes and raw peers on loopback.
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { test } from "node:test";
import { portOf } from "../test/support/ovt-kit.ts";
import { requestBytes } from "../test/support/scripted-edge.ts";
import { until } from "../test/support/until.ts";
import { parseServerXml } from "./config/parse-server-xml.ts";
import { SettingError } from "./flow/errors.ts";
import { silentLogger } from "./flow/logger.ts";
import { startNode, type RunningNode } from "./node.ts";
import { startEmbeddedRedis } from "./stores/embedded-redis.ts";
import { systemClock } from "./time/clock.ts";
import { runToken } from "./token-command.ts";

const secret = "a secret of the whole cluster, long enough";
const cam = { vhost: "default", app: "app", stream: "cam" };
const clip = new URL("../infra/laptop/loop.mp4", import.meta.url).pathname;

interface Xml {
  readonly rule?: string;
  readonly bind?: string;
  readonly hearth?: string;
  readonly store?: string;
}

function serverXml({ rule = "", bind = "", hearth = "", store = "" }: Xml): string {
  const origin = rule && `<Origins><Origin><Location>/app/cam</Location><Pass>${rule}</Pass></Origin></Origins>`;
  return `<Server version="8"><Type>origin</Type><IP>127.0.0.1</IP><Hearth>${hearth}</Hearth><Bind>${bind}</Bind>
<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host>${store}${origin}
<Applications><Application><Name>app</Name><Type>live</Type><Providers><OVT/></Providers><Publishers><OVT/></Publishers>
</Application></Applications></VirtualHost></VirtualHosts></Server>`;
}

/** @param next what the file says when it is read again */
async function start(xml: string, env: Record<string, string>, next = xml): Promise<RunningNode> {
  const { config, problems } = parseServerXml(xml, { path: "Server.xml", env });
  assert.ok(config, JSON.stringify(problems));
  const readConfig = () => parseServerXml(next, { path: "Server.xml", env });
  return startNode({ config, env, clock: systemClock, logger: silentLogger, readConfig });
}

const fileRule = `<Scheme>file</Scheme><Urls><Url>${clip}</Url></Urls>`;
const bind = "<Publishers><OVT><Port>0</Port></OVT></Publishers>";
const startOrigin = (hearth: string, env: Record<string, string> = { HEARTH_SECRET: secret }): Promise<RunningNode> =>
  start(serverXml({ rule: fileRule, bind, hearth }), env);

/** Whether a node gets media of the stream. */
async function gets(xml: string, env: Record<string, string>): Promise<boolean> {
  const edge = await start(xml, env);
  try {
    const result = await edge.hub.acquire(cam, { protocol: "whep" });
    if (result.kind !== "stream") return false;
    const { stream } = result.hold;
    return await until("samples", 10_000, () => stream.stats.samples > 10);
  } finally {
    await edge.close({ code: "test" });
  }
}

/** Whether a Hearth edge with this environment gets media from a port. */
const edgeGets = (port: number | undefined, env: Record<string, string>, scheme = "ovt"): Promise<boolean> =>
  gets(serverXml({ rule: `<Scheme>${scheme}</Scheme><Urls><Url>127.0.0.1:${port}/app/cam</Url></Urls>` }), env);

/** All that a peer gets to see that asks from `localAddress` as OvenMediaEngine does: in plain text. */
async function bytesFor(origin: RunningNode, localAddress: string, query = ""): Promise<Buffer> {
  const socket = connect({ port: origin.ovtPort!, host: "127.0.0.1", localAddress });
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => {});
  await once(socket, "connect");
  const target = `ovt://127.0.0.1/app/cam${query}`;
  socket.write(requestBytes({ application: "describe", id: 1, target }));
  await until("an answer", 10_000, () => chunks.length > 0 || socket.closed);
  socket.write(requestBytes({ application: "play", id: 2, target }));
  await until("media", 10_000, () => Buffer.concat(chunks).length > 20_000 || socket.closed);
  socket.destroy();
  return Buffer.concat(chunks);
}

/** A port in front of `port` that keeps what crosses it, both ways. */
async function openTap(port: number): Promise<{ port: number; crossed: () => Buffer; close: () => void }> {
  const crossed: Buffer[] = [];
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (chunk: Buffer) => crossed.push(chunk));
      from.on("error", () => {});
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: portOf(server), crossed: () => Buffer.concat(crossed), close: () => server.close() };
}

test("with <OvtLink> and a secret, a token or a trusted address opens the port", async () => {
  const origin = await startOrigin("<OvtLink><TrustedPeers><Peer>127.0.0.2</Peer></TrustedPeers></OvtLink>");
  try {
    assert.equal(await edgeGets(origin.ovtPort, { HEARTH_SECRET: secret }), true);
    assert.equal(
      await edgeGets(origin.ovtPort, { HEARTH_SECRET: "another secret, quite as long as the first" }),
      false,
    );
    assert.equal(await edgeGets(origin.ovtPort, {}), false);
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

test("a rule with the scheme ovts pulls within TLS: neither names nor media stand on the wire", async () => {
  const origin = await startOrigin("<OvtLink/>");
  const tap = await openTap(origin.ovtPort!);
  try {
    assert.equal(await edgeGets(tap.port, { HEARTH_SECRET: secret }, "OVTS"), true);
    assert.equal(tap.crossed().includes("app/cam"), false);
    assert.ok(tap.crossed().length > 20_000);
    assert.equal(
      await edgeGets(origin.ovtPort, { HEARTH_SECRET: "another secret, quite as long as the first" }, "ovts"),
      false,
    );
  } finally {
    tap.close();
    await origin.close({ code: "test" });
  }
});

test("a secret alone lets peers come by TLS, too", async () => {
  const origin = await startOrigin("");
  try {
    assert.equal(await edgeGets(origin.ovtPort, { HEARTH_SECRET: secret }, "ovts"), true);
    assert.equal(
      await edgeGets(origin.ovtPort, { HEARTH_SECRET: "another secret, quite as long as the first" }, "ovts"),
      false,
    );
  } finally {
    await origin.close({ code: "test" });
  }
});

test("with RequireTLS a token in plain text is not enough, except from a trusted address", async () => {
  const peers = "<TrustedPeers><Peer>127.0.0.2</Peer></TrustedPeers>";
  const origin = await startOrigin(`<OvtLink><RequireTLS>true</RequireTLS>${peers}</OvtLink>`);
  try {
    assert.equal(await edgeGets(origin.ovtPort, { HEARTH_SECRET: secret }, "ovt"), false);
    assert.equal(await edgeGets(origin.ovtPort, { HEARTH_SECRET: secret }, "ovts"), true);
    assert.ok((await bytesFor(origin, "127.0.0.2")).length > 20_000);
  } finally {
    await origin.close({ code: "test" });
  }
});

test("with RequireTLS the store names ovts URLs, by which edges pull", async () => {
  const redis = await startEmbeddedRedis({ port: 0 });
  const env = { HEARTH_SECRET: secret, REDIS_URL: redis.url };
  const store =
    "<OriginMapStore><RedisServer><Host>127.0.0.1:6379</Host></RedisServer><OriginHostName>127.0.0.1</OriginHostName></OriginMapStore>";
  const hearth = "<OvtLink><RequireTLS>true</RequireTLS></OvtLink><Prewarm><Stream>app/cam</Stream></Prewarm>";
  const origin = await start(serverXml({ rule: fileRule, bind, hearth, store }), env);
  try {
    await until("the stream", 10_000, () => origin.hub.list().length > 0);
    assert.equal(await until("an edge that gets it", 10_000, () => gets(serverXml({ store }), env)), true);
  } finally {
    await origin.close({ code: "test" });
    await redis.close();
  }
});

test("a token made by hand opens its streams to an edge that carries it in its URL", async () => {
  const origin = await startOrigin("<OvtLink/>");
  const token = async (scope: string): Promise<string> =>
    (await runToken([scope, "--days", "1"], { secret, nowMs: Date.now() })).output.trim();
  try {
    assert.ok((await bytesFor(origin, "127.0.0.1", `?key=${await token("app/*")}&key=viewer`)).length > 20_000);
    assert.equal((await bytesFor(origin, "127.0.0.1", `?key=${await token("other/*")}`)).length, 0);
  } finally {
    await origin.close({ code: "test" });
  }
});

test("a stream of an application without the OVT publisher does not exist for edges", async () => {
  const origin = await start(serverXml({ rule: fileRule, bind }).replace("<Publishers><OVT/></Publishers>", ""), {});
  try {
    assert.equal(await edgeGets(origin.ovtPort, {}), false);
  } finally {
    await origin.close({ code: "test" });
  }
});

test("what needs the secret does not start without it", async () => {
  await assert.rejects(startOrigin("<OvtLink><RequireTLS>true</RequireTLS></OvtLink>", {}), SettingError);
  const rule = "<Scheme>ovts</Scheme><Urls><Url>127.0.0.1:9000/app/cam</Url></Urls>";
  await assert.rejects(start(serverXml({ rule, bind }), {}), SettingError);
});

test("a reload changes which peers are trusted", async () => {
  const trusting = (peer: string): string =>
    serverXml({ rule: fileRule, bind, hearth: `<OvtLink><TrustedPeers><Peer>${peer}</Peer></TrustedPeers></OvtLink>` });
  const origin = await start(trusting("127.0.0.2"), { HEARTH_SECRET: secret }, trusting("127.0.0.3"));
  try {
    assert.ok((await bytesFor(origin, "127.0.0.2")).length > 0);
    assert.equal((await bytesFor(origin, "127.0.0.3")).length, 0);
    const outcome = await origin.reload("test");
    assert.deepEqual([outcome?.isTaken, outcome?.needRestart], [true, []]);
    assert.equal((await bytesFor(origin, "127.0.0.2")).length, 0);
    assert.ok((await bytesFor(origin, "127.0.0.3")).length > 0);
  } finally {
    await origin.close({ code: "test" });
  }
});
