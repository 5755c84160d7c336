import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { test } from "node:test";
import { FedSource, openTestNode, portOf, until, videoSample, type TestNode } from "../../test/support/ovt-kit.ts";

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
  /** Everything that crossed the wire, both ways. */
  readonly crossed: () => Buffer;
}

async function openOrigin(secrets: readonly string[]): Promise<SecureOrigin> {
  const fed = new FedSource();
  const node = openTestNode("origin", { fed: { cam: fed }, publisher: { secrets } });
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
  return { node, server, fed, crossed: () => Buffer.concat(crossed) };
}

async function pull(origin: SecureOrigin, scheme: string, secret?: string): Promise<string> {
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
    }
    return result.kind;
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

test("a node with another secret, or none, gets nothing", async (t) => {
  const origin = await openOrigin(["right"]);
  t.after(() => origin.server.close());
  assert.equal(await pull(origin, "ovts", "wrong"), "unavailable");
  assert.equal(await pull(origin, "ovt", "wrong"), "unavailable");
  assert.equal(await pull(origin, "ovts"), "unavailable");
  assert.equal(await pull(origin, "ovt"), "unavailable");
  assert.equal(origin.node.publisher.stats.sessionsStarted, 0);
  await origin.node.close();
  assert.equal(origin.node.publisher.stats.connectionsLive, 0);
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
