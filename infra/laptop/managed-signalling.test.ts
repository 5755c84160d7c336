// Signalling that outlives its node, in workerd with real sockets: nodes that speak as much as a player needs. Once with an
// object a player, as deployed, and once in the Worker itself.
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { startRestStore, type RestStore } from "../../test/support/rest-store.ts";
import { nodeRecord, secret } from "../../test/support/router.ts";
import { until } from "../../test/support/until.ts";
import { startRouter, type RunningRouter } from "./worker.ts";

interface FakeNode {
  readonly id: string;
  readonly url: string;
  readonly server: WebSocketServer;
}

let store: RestStore;
let routers: Record<"an object" | "the Worker", RunningRouter>;
let nodes: FakeNode[];
const lines: string[] = [];
/** What nodes were told: number and text. */
const heard: string[] = [];

/** Answers each request with an offer that carries the node's number as id. */
async function startNode(number: number): Promise<FakeNode> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("connection", (socket) => {
    socket.on("message", (data: Buffer) => {
      heard.push(`${number} ${data.toString()}`);
      if (data.toString().includes("request_offer"))
        socket.send(JSON.stringify({ command: "offer", id: number, peer_id: 0 }));
    });
  });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { id: `edge${number}`, url: `http://127.0.0.1:${port}`, server };
}

before(async () => {
  store = await startRestStore(secret);
  // A node that was lost is left out for some seconds: each test takes one, and the last is left alone.
  nodes = await Promise.all([1, 2, 3, 4, 5, 6].map(startNode));
  store.nodes = nodes.map(({ id, url }) => nodeRecord(id, { url }));
  store.origins = { "app/stream": ["ovt://origin:9000/app/stream"] };
  const vars = { HEARTH_SECRET: secret, UPSTASH_REDIS_REST_URL: store.url, UPSTASH_REDIS_REST_TOKEN: store.token };
  const withObjects = await startRouter({ port: 0, vars, log: (line) => lines.push(line) });
  const without = await startRouter({ port: 0, vars, hasPlayerObjects: false });
  routers = { "an object": withObjects, "the Worker": without };
  for (const { url } of Object.values(routers))
    await until("the stream is known", 10_000, async () => (await fetch(`${url}/-/resolve/app/stream`)).ok);
});

/** workerd puts an object out of memory that did nothing for ten seconds, if it may. */
const idleMs = 11_000;
let idle: Awaited<ReturnType<typeof openPlayer>>;
let idleSinceMs: number;

after(async () => {
  await Promise.all(Object.values(routers ?? {}).map((router) => router.close()));
  for (const { server } of nodes) {
    for (const socket of server.clients) socket.terminate();
    server.close();
  }
  await store.close();
});

/** A player as far as signalling goes; messages are kept, and emitted by their command. */
async function openPlayer(
  url: string,
  { headers = {}, avoid = "edge6" }: { headers?: Record<string, string>; avoid?: string } = {},
) {
  const socket = new WebSocket(`${url.replace("http", "ws")}/app/stream?managed=1&avoid=${avoid}`, { headers });
  const received: Partial<Record<"command" | "id" | "message", unknown>>[] = [];
  socket.on("message", (data: Buffer) => {
    const message = JSON.parse(data.toString()) as { command: string; id: number };
    received.push(message);
    socket.emit(message.command, message);
  });
  await once(socket, "open");
  return { socket, received };
}

async function requestOffer(socket: WebSocket): Promise<number> {
  socket.send('{"command":"request_offer"}');
  const [{ id }] = (await once(socket, "offer")) as [{ id: number }];
  return id;
}

test("a player begins to say nothing", async () => {
  idle = await openPlayer(routers["an object"].url, { avoid: "edge1,edge2,edge3,edge4,edge5" });
  assert.equal(await requestOffer(idle.socket), 6);
  idleSinceMs = performance.now();
});

for (const where of ["an object", "the Worker"] as const) {
  test(`in ${where}: a player whose node vanishes is told to stop and finds the next one on the same socket`, async () => {
    const { socket, received } = await openPlayer(routers[where].url);
    const first = await requestOffer(socket);
    for (const connection of nodes[first - 1]!.server.clients) connection.terminate();
    const [stop] = (await once(socket, "stop")) as [{ id: number; peer_id: number }];
    assert.deepEqual(stop, { command: "stop", id: first, peer_id: 0 });
    const second = await requestOffer(socket);
    assert.notEqual(second, first);
    socket.close(4_001, "as asked");
    const [code] = (await once(socket, "close")) as [number];
    assert.equal(code, 4_001);
    await until("the node is told", 5_000, () => nodes[second - 1]!.server.clients.size === 0);
    const told = (id: number) => ({ command: "notification", type: "node", message: { id: `edge${id}` } });
    assert.deepEqual(
      received.filter(({ command }) => command === "notification"),
      [told(first), told(second)],
    );
    assert.equal(received.length, 5);
  });
}

test("players' objects are their own: who loses its node moves, the others stay", async () => {
  const players = await Promise.all(Array.from({ length: 12 }, () => openPlayer(routers["an object"].url)));
  const served = await Promise.all(players.map(({ socket }) => requestOffer(socket)));
  const lost = served[0]!;
  for (const connection of nodes[lost - 1]!.server.clients) connection.terminate();
  const moving = players.filter((_, at) => served[at] === lost);
  await Promise.all(moving.map(({ socket }) => once(socket, "stop")));
  for (const [at, { socket, received }] of players.entries()) {
    assert.equal(
      received.some(({ command }) => command === "stop"),
      served[at] === lost,
    );
    socket.close();
  }
  await Promise.all(players.map(({ socket }) => once(socket, "close")));
});

test("a stranger's word on the node that was chosen counts nowhere", async () => {
  const evil = encodeURIComponent(JSON.stringify({ url: "http://127.0.0.1:1/app/stream", node: "edge1" }));
  for (const { url } of Object.values(routers)) {
    const { socket } = await openPlayer(url, { headers: { "Hearth-Chosen": evil } });
    assert.ok(nodes[(await requestOffer(socket)) - 1]!.server.clients.size > 0);
    socket.close();
    await once(socket, "close");
  }
});

test("the object goes by the Worker's choice: a player is decided on once, and again when it moves", async () => {
  const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
  const routed = () => lines.filter((line) => line.includes(traceId) && line.includes("viewer routed")).length;
  const { socket } = await openPlayer(routers["an object"].url, {
    headers: { traceparent: `00-${traceId}-00f067aa0ba902b7-01` },
  });
  const first = await requestOffer(socket);
  await until("the choice is logged", 5_000, () => routed() === 1);
  for (const connection of nodes[first - 1]!.server.clients) connection.terminate();
  await once(socket, "stop");
  await until("so is the next", 5_000, () => routed() === 2);
  socket.close();
  await once(socket, "close");
});

test("the object of a player that says nothing keeps its node", { timeout: 30_000 }, async () => {
  await new Promise((resolve) => setTimeout(resolve, idleSinceMs + idleMs - performance.now()));
  idle.socket.send('{"command":"candidate","id":6}');
  await until("the node hears it", 5_000, () => heard.includes('6 {"command":"candidate","id":6}'));
  assert.equal(nodes[5]!.server.clients.size, 1);
  assert.equal(idle.received.length, 2, "it was told its node and given an offer, nothing else");
  idle.socket.close();
  await once(idle.socket, "close");
});
