import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { PassThrough, type Duplex } from "node:stream";
import { test } from "node:test";
import { FedSource, openTestNode, portOf, until, videoSample, type TestNode } from "../../test/support/ovt-kit.ts";
import { jsonLogger } from "../flow/logger.ts";
import { hearGreeting } from "./link-tls.ts";

const cam = { vhost: "default", app: "app", stream: "cam" };

async function dial(_host: string, port: number): Promise<Duplex> {
  const socket = connect({ port, host: "127.0.0.1" });
  await once(socket, "connect");
  return socket;
}

interface SecureOrigin {
  readonly node: TestNode;
  readonly server: Server;
  readonly fed: FedSource;
  readonly lines: readonly string[];
  /** Everything that crossed the wire, both ways. */
  readonly crossed: () => Buffer;
}

async function openOrigin(secrets: readonly string[]): Promise<SecureOrigin> {
  const fed = new FedSource();
  const lines: string[] = [];
  const logger = jsonLogger((line) => lines.push(line), "warn");
  const node = openTestNode("origin", { fed: { cam: fed }, publisher: { secrets, logger } });
  const crossed: Buffer[] = [];
  const server = createServer((socket: Socket) => {
    socket.on("data", (chunk: Buffer) => crossed.push(chunk));
    node.publisher.accept(socket, "127.0.0.1");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const held = await node.hub.acquire(cam, { protocol: "llhls" });
  assert.equal(held.kind, "stream");
  for (let i = 0; i < 30; i++) fed.push(videoSample(i));
  return { node, server, fed, lines, crossed: () => Buffer.concat(crossed) };
}

async function pull(origin: Pick<SecureOrigin, "server">, scheme: string, secret?: string): Promise<string> {
  const edge = openTestNode("edge", {
    dial,
    rules: { "app/cam": [`${scheme}://127.0.0.1:${portOf(origin.server)}/app/cam`] },
    source: { ...(secret !== undefined && { secret }) },
  });
  try {
    const result = await edge.hub.acquire(cam, { protocol: "whep" });
    if (result.kind === "stream") {
      const { stream } = result.hold;
      await until(() => stream.stats.samples >= 30, "the burst");
      return result.kind;
    }
    return `${result.kind}: ${result.reason}`;
  } finally {
    await edge.close();
  }
}

test("nodes that share a secret speak TLS, or plain OVT with a token, on one port", async (t) => {
  const origin = await openOrigin(["new secret", "old secret"]);
  t.after(() => origin.server.close());
  assert.equal(await pull(origin, "ovts", "new secret"), "stream");
  assert.equal(origin.crossed().includes("app/cam"), false, "the stream's name is not on the wire");
  assert.equal(await pull(origin, "ovts", "old secret"), "stream");
  assert.equal(await pull(origin, "ovt", "new secret"), "stream");
  assert.equal(origin.node.publisher.stats.sessionsStarted, 3);
  await origin.node.close();
  assert.equal(origin.node.publisher.stats.connectionsLive, 0);
});

test("a node with another secret, or none, gets nothing, and both operators are told why", async (t) => {
  const origin = await openOrigin(["right"]);
  t.after(() => origin.server.close());
  assert.match(await pull(origin, "ovts", "wrong"), /^unavailable: .*does not share this cluster's secret/);
  assert.match(await pull(origin, "ovt", "wrong"), /^unavailable: .*is HEARTH_SECRET the same on both nodes/);
  assert.match(await pull(origin, "ovts"), /^unavailable: .*needs the cluster's secret/);
  assert.match(await pull(origin, "ovt"), /^unavailable: .*is HEARTH_SECRET the same on both nodes/);
  const { stats } = origin.node.publisher;
  assert.equal(stats.sessionsStarted, 0);
  assert.deepEqual([stats.faults["OVT_TLS"], stats.faults["OVT_UNAUTHORIZED"]], [1, 2]);
  await until(() => origin.lines.length > 0, "a line in the log");
  assert.match(origin.lines[0]!, /ovt peers were turned away.*"lastRemote":"127.0.0.1"/);
  await origin.node.close();
  assert.equal(stats.connectionsLive, 0);
});

test("an edge does not tell an origin without the secret what it wants", async () => {
  const seen: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on("data", (chunk) => seen.push(chunk));
    socket.on("error", () => {});
    setImmediate(() => socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, 40])));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const edge = openTestNode("edge", {
    dial,
    rules: { "app/cam": [`ovts://127.0.0.1:${portOf(server)}/app/cam`] },
    source: { secret: "s" },
  });
  assert.equal((await edge.hub.acquire(cam, { protocol: "whep" })).kind, "unavailable");
  assert.equal(Buffer.concat(seen).includes("cam"), false);
  await edge.close();
  server.close();
});

/** What a peer that sends these bytes one at a time is taken for, after how many of them, and what is left to read. */
async function hear(bytes: Uint8Array): Promise<{ isTls: boolean; after: number; rest: Buffer }> {
  const peer = new PassThrough();
  const heard: boolean[] = [];
  hearGreeting(peer, (isTls) => heard.push(isTls));
  let after = 0;
  for (; heard.length === 0 && after < bytes.length; after++) {
    peer.write(bytes.subarray(after, after + 1));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const rest: unknown = peer.read();
  assert.ok(heard.length === 1 && rest instanceof Uint8Array);
  return { isTls: heard[0]!, after, rest: Buffer.from(rest) };
}

test("TLS begins with a whole record, plain OVT with one byte, and both find every byte again", async () => {
  const record = Buffer.concat([Uint8Array.of(0x16, 3, 1, 0, 200), Buffer.alloc(200, 7)]);
  assert.deepEqual(await hear(record), { isTls: true, after: 205, rest: record });
  assert.deepEqual(await hear(Uint8Array.of(0x60, 10)), { isTls: false, after: 1, rest: Buffer.of(0x60) });
  const endless = Buffer.concat([Uint8Array.of(0x16, 3, 1, 0xff, 0xff), Buffer.alloc(4_000, 7)]);
  assert.equal((await hear(endless)).after, 2_048);
});
