// Signalling that outlives its node, in workerd with real sockets: two nodes that speak as much as a player needs.
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
let router: RunningRouter;
let nodes: FakeNode[];

/** Answers each request with an offer that carries the node's number as id. */
async function startNode(number: number): Promise<FakeNode> {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0 });
  server.on("connection", (socket) => {
    socket.on("message", (data: Buffer) => {
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
  nodes = await Promise.all([startNode(1), startNode(2)]);
  store.nodes = nodes.map(({ id, url }) => nodeRecord(id, { url }));
  store.origins = { "app/stream": ["ovt://origin:9000/app/stream"] };
  const vars = { HEARTH_SECRET: secret, UPSTASH_REDIS_REST_URL: store.url, UPSTASH_REDIS_REST_TOKEN: store.token };
  router = await startRouter({ port: 0, vars });
  await until("the stream is known", 10_000, async () => (await fetch(`${router.url}/-/resolve/app/stream`)).ok);
});

after(async () => {
  await router?.close();
  for (const { server } of nodes) {
    for (const socket of server.clients) socket.terminate();
    server.close();
  }
  await store.close();
});

test(
  "a player whose node vanishes is told to stop and finds the next one on the same socket",
  { timeout: 15_000 },
  async () => {
    const player = new WebSocket(`${router.url.replace("http", "ws")}/app/stream?managed=1`);
    const received: Partial<Record<"command" | "id" | "message", unknown>>[] = [];
    player.on("message", (data: Buffer) => {
      const message = JSON.parse(data.toString()) as { command: string; id: number };
      received.push(message);
      player.emit(message.command, message);
    });
    await once(player, "open");
    player.send('{"command":"request_offer"}');
    const [first] = (await once(player, "offer")) as [{ id: number }];
    for (const socket of nodes[first.id - 1]!.server.clients) socket.terminate();
    const [stop] = (await once(player, "stop")) as [{ id: number; peer_id: number }];
    assert.deepEqual(stop, { command: "stop", id: first.id, peer_id: 0 });
    player.send('{"command":"request_offer"}');
    const [second] = (await once(player, "offer")) as [{ id: number }];
    assert.notEqual(second.id, first.id);
    player.close();
    await once(player, "close");
    const told = (id: number) => ({ command: "notification", type: "node", message: { id: `edge${id}` } });
    assert.deepEqual(
      received.filter(({ command }) => command === "notification"),
      [told(first.id), told(second.id)],
    );
    assert.equal(received.length, 5);
  },
);
