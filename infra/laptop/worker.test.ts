// The router as it runs: bundled, in workerd, with a store over REST and a node over HTTP and WebSocket.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { connect, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { importSigningKey } from "#cluster/ticket/signing-key.ts";
import { verifyTicket, type ViewerProtocol } from "#cluster/ticket/ticket.ts";
import { startRestStore, type RestStore } from "../../test/support/rest-store.ts";
import { nodeRecord, secret } from "../../test/support/router.ts";
import { until } from "../../test/support/until.ts";
import { startRouter, type RunningRouter } from "./worker.ts";

let store: RestStore;
let node: Server;
let sockets: WebSocketServer;
let router: RunningRouter;
let page: string;
let nodeUrl: string;
const upgrades: IncomingMessage[] = [];
const complaints: string[] = [];
const offers: { url: string; body: string }[] = [];

before(async () => {
  store = await startRestStore(secret);
  page = await mkdtemp(join(tmpdir(), "hearth-page-"));
  await writeFile(join(page, "index.html"), "<title>Hearth</title>");
  node = createServer((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += String(chunk)));
    request.on("end", () => {
      offers.push({ url: request.url!, body });
      response.writeHead(201, { Location: `${nodeUrl}/app/stream/whep/session` }).end("v=0\r\nanswer");
    });
  });
  sockets = new WebSocketServer({ server: node });
  sockets.on("connection", (socket, request) => {
    upgrades.push(request);
    socket.on("message", (data, isBinary) => {
      const bytes = data as Buffer;
      if (bytes.toString() === "leave") socket.close(4_001, "as asked");
      else socket.send(bytes, { binary: isBinary });
    });
  });
  node.listen(0, "127.0.0.1");
  await once(node, "listening");
  nodeUrl = `http://127.0.0.1:${(node.address() as AddressInfo).port}`;
  store.nodes = [nodeRecord("edge1", { url: nodeUrl })];
  store.origins = { "app/stream": ["ovt://origin:9000/app/stream"] };
  const vars = { HEARTH_SECRET: secret, UPSTASH_REDIS_REST_URL: store.url, UPSTASH_REDIS_REST_TOKEN: store.token };
  // What the router says of each viewer is expected; workerd itself has nothing to say.
  const log = (line: string): void => void (line.includes('"level":"info"') || complaints.push(line));
  router = await startRouter({ port: 0, vars, assetsDir: page, log });
  // On a busy machine the store may miss the router's deadline once; after that the router remembers.
  await until("the stream is known", 10_000, async () => (await ask("/app/stream/llhls.m3u8")).status === 302);
});

after(async () => {
  await router?.close();
  for (const socket of sockets.clients) socket.terminate();
  sockets.close();
  node.closeAllConnections();
  node.close();
  await store.close();
  await rm(page, { recursive: true });
  assert.deepEqual(complaints, []);
});

const ask = (path: string, init: RequestInit = {}) => fetch(`${router.url}${path}`, { redirect: "manual", ...init });

async function admits(url: string, protocol: ViewerProtocol): Promise<boolean> {
  const key = await importSigningKey(secret);
  const ticket = new URL(url, nodeUrl).searchParams.get("rt");
  const scope = { node: "edge1", name: { vhost: "default", app: "app", stream: "stream" }, protocol };
  return (await verifyTicket(key, ticket, scope, Date.now())).admitted;
}

test("redirects a playlist to the node, with a ticket that the node admits", async () => {
  const answer = await ask("/app/stream/llhls.m3u8?x=%41");
  assert.equal(answer.status, 302);
  const location = answer.headers.get("Location")!;
  assert.ok(location.startsWith(`${nodeUrl}/app/stream/llhls.m3u8?x=%41&rt=`), location);
  assert.equal(await admits(location, "llhls"), true);
});

test("redirects an offer so that a client repeats it at the node", async () => {
  const answer = await ask("/app/stream/whep", { method: "POST", body: "v=0\r\noffer", redirect: "follow" });
  assert.equal(answer.status, 201);
  assert.equal(offers.at(-1)!.body, "v=0\r\noffer");
  assert.equal(await admits(offers.at(-1)!.url, "whep"), true);
});

test("passes an offer on when asked to", async () => {
  const answer = await ask("/app/stream/whep?via=proxy", { method: "POST", body: "v=0\r\noffer" });
  assert.equal(answer.status, 201);
  assert.equal(answer.headers.get("Location"), `${nodeUrl}/app/stream/whep/session`);
  assert.equal(answer.headers.get("Access-Control-Allow-Origin"), "*");
  assert.equal(await answer.text(), "v=0\r\nanswer");
});

test("passes a WebSocket through: text, bytes, sub-protocol and close code", { timeout: 10_000 }, async () => {
  const socket = new WebSocket(`${router.url.replace("http", "ws")}/app/stream`, ["ome"]);
  await once(socket, "open");
  assert.equal(socket.protocol, "ome");
  assert.equal(await admits(upgrades.at(-1)!.url!, "webrtc"), true);
  socket.send('{"command":"request_offer"}');
  const [text, isBinary] = (await once(socket, "message")) as [Buffer, boolean];
  assert.deepEqual([String(text), isBinary], ['{"command":"request_offer"}', false]);
  socket.send(Buffer.from([0, 255]));
  const [bytes] = (await once(socket, "message")) as [Buffer];
  assert.deepEqual([...bytes], [0, 255]);
  socket.send("leave");
  const [code, reason] = (await once(socket, "close")) as [number, Buffer];
  assert.deepEqual([code, String(reason)], [4_001, "as asked"]);
});

test("answers a WebSocket for an unknown stream with an error, not a socket", { timeout: 10_000 }, async () => {
  await until("it is said to be unknown", 8_000, async () => {
    const socket = new WebSocket(`${router.url.replace("http", "ws")}/app/unknown`);
    const [, answer] = (await once(socket, "unexpected-response")) as [unknown, IncomingMessage];
    answer.destroy();
    return answer.statusCode === 404;
  });
});

test("answers requests as no browser sends them with sentences, and redirects none elsewhere", async () => {
  for (const [target, host, status] of [
    ["/app/stream/x.m3u8", "evil.test@x", 302],
    ["http://evil.test/app/stream/x.m3u8", "router.test", 302],
    ["//evil.test/stream/x.m3u8", "router.test", 404],
    ["/app/../app/stream/x.m3u8", "router.test", 404],
    ["/app/stream\\..\\evil/x.m3u8", "router.test", 404],
    ["/app/stream/a\\b.m3u8", "router.test", 404],
    ["/app/stream/x.m3u8", "a b", 400],
    ["/app/stream/x.m3u8", "[::1", 400],
    ["/app/stream/x.m3u8", "a:99999", 400],
    ["/app/stream/x.m3u8", "", 400],
  ] as const) {
    const answer = await rawRequest(target, host);
    assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), target);
    const location = /^location: (.*)$/im.exec(answer)?.[1];
    assert.equal(location === undefined || location.startsWith(`${nodeUrl}/app/stream/`), true, location);
  }
});

/** One request, byte for byte; the whole answer as text. */
async function rawRequest(target: string, host: string): Promise<string> {
  const socket = connect(Number(new URL(router.url).port), "127.0.0.1");
  socket.end(`GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("latin1");
}

/** Every route: what it is asked, and what its answer is; `Location` stands for the node's URL with a ticket. */
const routes: readonly [path: string, init: RequestInit, status: number, more?: Readonly<Record<string, RegExp>>][] = [
  ["/app/stream/llhls.m3u8", {}, 302, { Location: /\/app\/stream\/llhls\.m3u8\?rt=/, "Cache-Control": /^no-store$/ }],
  ["/app/stream/ts:playlist.m3u8", {}, 302, { Location: /\/app\/stream\/ts:playlist\.m3u8\?rt=/ }],
  ["/app/stream/llhls.m3u8?b=%20&a=1", { method: "HEAD" }, 302, { Location: /llhls\.m3u8\?b=%20&a=1&rt=/ }],
  ["/app/stream/llhls.m3u8?_resolve=json", {}, 200, { "Content-Type": /json/, "Cache-Control": /^no-store$/ }],
  // The node of this test answers every request as if it were an offer.
  ["/app/stream/llhls.m3u8?steering=1", {}, 201],
  ["/app/stream/whep", { method: "POST", body: "v=0" }, 307, { Location: /\/app\/stream\/whep\?rt=/ }],
  ["/app/stream?direction=whep", { method: "POST", body: "v=0" }, 307, { Location: /\?direction=whep&rt=/ }],
  ["/app/stream/whep?via=proxy", { method: "POST", body: "v=0" }, 201, { Location: /\/whep\/session$/ }],
  ["/app/stream/whep?via=proxy", { method: "POST", body: "x".repeat(70_000) }, 413],
  ["/-/resolve/app/stream", {}, 200, { "Content-Type": /json/ }],
  ["/-/resolve/app/stream?protocol=hls", {}, 200],
  ["/-/resolve/app/stream?protocol=smoke", {}, 400],
  ["/-/explain/app/stream", {}, 200],
  ["/-/steer/app/stream?pathways=edge1", {}, 200, { "Content-Type": /^application\/json/ }],
  ["/-/cluster", {}, 200],
  ["/-/health", {}, 200],
  ["/-/laptop/stop/edge1", { method: "POST" }, 404],
  ["/-/nothing", {}, 404],
  ["/", {}, 200],
  ["/missing.js", {}, 404],
  ["/app/stream/nothing", { method: "POST" }, 404],
  ["/app/stream/llhls.m3u8", { method: "DELETE" }, 405, { Allow: /^GET, HEAD, POST, OPTIONS$/ }],
  ["/app/unknown/llhls.m3u8", {}, 404, { "Content-Type": /json/ }],
];

test("every route answers as documented, to pages of any origin", async () => {
  for (const [path, init, status, more = {}] of routes) {
    const what = `${init.method ?? "GET"} ${path}`;
    const headers = { Origin: "https://site.example" };
    // On a busy machine the store may be late for a stream that nobody asked for yet.
    const answer = await until(what, 8_000, async () => {
      const given = await ask(path, { ...init, headers });
      return given.status === 503 ? undefined : given;
    });
    assert.equal(answer.status, status, what);
    assert.equal(answer.headers.get("Access-Control-Allow-Origin"), "*", what);
    assert.match(answer.headers.get("Access-Control-Expose-Headers")!, /Location.*X-Hearth-Trace/, what);
    assert.ok(answer.headers.has("Cache-Control"), what);
    for (const [name, value] of Object.entries(more)) assert.match(answer.headers.get(name) ?? "", value, what);
    const location = answer.headers.get("Location");
    if (location !== null) assert.ok(location.startsWith(`${nodeUrl}/app/stream`), what);
    await answer.arrayBuffer();
  }
});

test("every preflight is answered here, and never redirected", async () => {
  for (const path of new Set(routes.map(([path]) => path))) {
    const answer = await ask(path, {
      method: "OPTIONS",
      headers: {
        Origin: "https://site.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type",
        "Access-Control-Request-Private-Network": "true",
      },
    });
    assert.equal(answer.status, 204, path);
    assert.equal(answer.headers.get("Access-Control-Allow-Origin"), "*");
    assert.match(answer.headers.get("Access-Control-Allow-Methods")!, /POST.*PATCH.*DELETE/);
    assert.match(answer.headers.get("Access-Control-Allow-Headers")!, /Authorization, Content-Type/);
    assert.equal(answer.headers.get("Access-Control-Allow-Private-Network"), "true");
    assert.equal(answer.headers.get("Location"), null);
  }
});

test("serves the page", async () => {
  const answer = await ask("/");
  assert.equal(answer.headers.get("Content-Type"), "text/html; charset=utf-8");
  assert.equal(await answer.text(), "<title>Hearth</title>");
  assert.equal((await ask("/missing.js")).status, 404);
});

test("shows the cluster at a loopback address", async () => {
  const map = (await (await ask("/-/cluster")).json()) as { nodes: { id: string }[] };
  assert.deepEqual(
    map.nodes.map(({ id }) => id),
    ["edge1"],
  );
});

test("decides from memory within 300 ms when the store falls silent", { timeout: 10_000 }, async () => {
  assert.equal((await ask("/app/stream/llhls.m3u8")).status, 302);
  store.isSilent = true;
  const reads = store.reads;
  try {
    for (const deadline = Date.now() + 1_500; Date.now() < deadline;)
      assert.equal((await ask("/app/stream/llhls.m3u8")).status, 302);
    assert.equal((await ask("/app/unknown-now/llhls.m3u8")).status, 503);
    assert.equal(store.reads, reads);
  } finally {
    store.isSilent = false;
  }
});

test("names the setting when its port is in use", async () => {
  const port = Number(new URL(router.url).port);
  await assert.rejects(startRouter({ port, vars: {}, log() {} }), /HEARTH_ROUTER_PORT/);
});
