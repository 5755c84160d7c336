import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { test, type TestContext } from "node:test";
import { Certificates } from "../../media-node/api/certificates.ts";
import type { DirectSockets } from "../../media-node/api/direct-sockets.ts";
import { listenForViewers, type HttpServer, type HttpServerOptions } from "../../media-node/api/http-server.ts";
import type { HttpGuest, PlainExchange, ViewerTarget } from "../../media-node/core/guest.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { loadNativeLibrary } from "../../media-node/webrtc/native/library.ts";
import { openDirectTcp } from "../../media-node/webrtc/native/direct-tcp.ts";
import { makeCertificate } from "../support/certificate.ts";
import { RawHttp } from "../support/raw-http.ts";
import { until } from "../support/until.ts";

/** As many connections as a door takes for a crowd, and some. */
const crowd = 40;
const largeBytes = 8 << 20;

/** Says to everybody the name they asked for: `held…` when told, `large…` many times over. */
class Guest implements HttpGuest {
  readonly held: (() => void)[] = [];

  /** Says what it was told, and says it on for as long as it is told more. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    request.pipe(response);
    return true;
  }

  upgrade(_request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    socket.write(head);
    socket.pipe(socket);
    return true;
  }

  serve(exchange: PlainExchange, { file }: ViewerTarget): boolean {
    if (file === "echo") return false;
    const text = `<${file}>`;
    const body = file.startsWith("large") ? Buffer.alloc(largeBytes, text) : Buffer.from(text);
    const send = (): void => exchange.send(200, ["Content-Length", `${body.length}`], [body]);
    if (file.startsWith("held")) this.held.push(send);
    else send();
    return true;
  }
}

/** Counts what went out directly, and connections that are read in place. */
class Counted implements DirectSockets {
  readonly #direct: DirectSockets;
  calls = 0;
  bytes = 0;
  duplicates = 0;

  constructor(direct: DirectSockets) {
    this.#direct = direct;
  }

  send(fd: number, start: Uint8Array, body: Uint8Array | undefined): number {
    const sent = this.#direct.send(fd, start, body);
    this.calls++;
    this.bytes += sent;
    return sent;
  }

  duplicate(fd: number): number | undefined {
    this.duplicates++;
    return this.#direct.duplicate(fd);
  }

  close(fd: number): void {
    this.#direct.close(fd);
  }
}

interface Scene {
  readonly door: HttpServer;
  readonly guest: Guest;
  readonly direct: Counted;
}

async function openScene(t: TestContext, options: Partial<HttpServerOptions> = {}): Promise<Scene> {
  const native = openDirectTcp(loadNativeLibrary());
  assert.ok(native, "Linux on x64 or arm64 has it");
  const [guest, direct] = [new Guest(), new Counted(native)];
  const door = await listenForViewers({
    port: 0,
    address: "127.0.0.1",
    guests: [guest],
    resolve: (_host, path) => ({ vhost: "v", app: "app", stream: "stream", file: path.slice(1) }),
    scheme: "http",
    state: () => "serving",
    logger: silentLogger,
    openDirectSockets: () => direct,
    portSetting: "Port",
    ...options,
  });
  t.after(() => door.close());
  return { door, guest, direct };
}

async function get(http: RawHttp, file: string): Promise<void> {
  const { status, body } = await http.get(`/${file}`);
  const text = `<${file}>`;
  const wanted = file.startsWith("large") ? Buffer.alloc(largeBytes, text) : Buffer.from(text);
  assert.ok(status === 200 && body.equals(wanted), `${status}, ${body.length} bytes for ${file}`);
}

test("nobody gets what is another's, though connections close and their descriptors are given away", async (t) => {
  const { door, guest, direct } = await openScene(t);
  const open = (): RawHttp => new RawHttp({ port: door.port });
  const clients = Array.from({ length: crowd }, open);
  t.after(() => clients.forEach((client) => client.close()));
  await Promise.all(clients.map((client, at) => get(client, `first-${at}`)));
  for (let round = 0; round < 20; round++) {
    const held = clients.map((client, at) => get(client, `held-${round}-${at}`).then(() => at));
    await until("all to be held", 5_000, () => guest.held.length === crowd);
    // Some go, and others come in their place, while answers for those who went are still to be sent.
    const replaced = clients.flatMap((client, at) => {
      if ((at + round) % 3 !== 0) return [];
      client.close();
      const next = open();
      clients[at] = next;
      return [get(next, `new-${round}-${at}`)];
    });
    for (const send of guest.held.splice(0)) send();
    await Promise.all([...replaced, ...held.filter((_, at) => (at + round) % 3 !== 0)]);
  }
  assert.ok(direct.calls > 500, `${direct.calls} answers went directly`);
});

test("what the system does not take at once comes after it, whole and in order, and all of it is counted", async (t) => {
  const { door, direct } = await openScene(t);
  const clients = Array.from({ length: crowd }, () => new RawHttp({ port: door.port }));
  t.after(() => clients.forEach((client) => client.close()));
  await Promise.all(clients.map((client, at) => get(client, `small-${at}`)));
  const large = clients.slice(0, 4);
  await Promise.all(large.map((client, at) => get(client, `large-${at}`)));
  await Promise.all(clients.map((client, at) => get(client, `then-${at}`)));
  assert.ok(direct.bytes < door.bytesSent, "a part went by the streams");
  const received = clients.reduce((sum, { bytesRead }) => sum + bytesRead, 0);
  assert.equal(door.bytesSent, received);
});

test("requests sent ahead are answered in order, and a half-closed client gets its last answer", async (t) => {
  const { door, direct } = await openScene(t);
  const crowded = Array.from({ length: crowd }, () => new RawHttp({ port: door.port }));
  t.after(() => crowded.forEach((client) => client.close()));
  await Promise.all(crowded.map((client, at) => get(client, `small-${at}`)));
  const before = direct.calls;
  const socket: Socket = connect(door.port, "127.0.0.1");
  let text = "";
  socket.setEncoding("latin1").on("data", (piece: string) => (text += piece));
  const ask = (method: string, file: string): string => `${method} /${file} HTTP/1.1\r\nHost: a\r\n\r\n`;
  socket.end(ask("GET", "a") + ask("HEAD", "b") + ask("GET", "c"));
  await once(socket, "end");
  assert.match(text, /^HTTP\/1\.1 200[^<]+<a>HTTP\/1\.1 200[^<]+HTTP\/1\.1 200[^<]+<c>$/);
  assert.ok(direct.calls >= before + 3);
});

/** A crowd, after which connections are read in place. */
async function gather(t: TestContext, { door }: Scene): Promise<void> {
  const clients = Array.from({ length: crowd }, () => new RawHttp({ port: door.port }));
  t.after(() => clients.forEach((client) => client.close()));
  await Promise.all(clients.map((client, at) => get(client, `small-${at}`)));
}

/** What the door says to this, until it has said `wanted`. */
async function told(
  t: TestContext,
  { door }: Scene,
  pieces: readonly (string | Buffer)[],
  wanted: RegExp,
): Promise<string> {
  const socket = connect(door.port, "127.0.0.1");
  t.after(() => socket.destroy());
  let text = "";
  socket.setEncoding("latin1").on("data", (piece: string) => (text += piece));
  await once(socket, "connect");
  for (const piece of pieces) {
    if (!socket.write(piece)) await once(socket, "drain");
    // One read each, as far as that can be had.
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(`${wanted}`, 5_000, () => wanted.test(text));
  return text;
}

test("a head that comes in pieces stays whole, whatever others say meanwhile", async (t) => {
  const scene = await openScene(t);
  await gather(t, scene);
  const before = scene.direct.duplicates;
  const ask = (file: string): string => `GET /${file} HTTP/1.1\r\nHost: a\r\nAccept: ${file}\r\n\r\n`;
  const slow = Array.from({ length: 20 }, (_, at) => ask(`slow-${at}`));
  const answers = slow.map((head, at) => told(t, scene, head.match(/[^]{1,3}/g)!, new RegExp(`<slow-${at}>$`)));
  // Two in one piece, then a part of a third.
  const ahead = told(t, scene, [`${ask("x-1")}${ask("x-2")}GET /x`, "-3 HTTP/1.1\r\nHost: a\r\n\r\n"], /<x-3>$/);
  for (const text of await Promise.all(answers)) assert.equal(text.match(/HTTP\/1\.1 200 OK/g)?.length, 1);
  assert.equal((await ahead).match(/<x-\d>/g)?.join(""), "<x-1><x-2><x-3>");
  assert.ok(scene.direct.duplicates >= before + 21);
});

test("who sends ahead without end is read again when there is an answer", async (t) => {
  const scene = await openScene(t);
  await gather(t, scene);
  const ask = (file: string): string => `GET /${file} HTTP/1.1\r\nHost: a\r\n\r\n`;
  const count = 700;
  const pieces = [ask("held"), ...Array.from({ length: count }, (_, at) => ask(`ahead-${at}`))];
  const text = told(t, scene, [Buffer.from(pieces.join(""))], new RegExp(`<ahead-${count - 1}>$`));
  await until("the first to be held", 5_000, () => scene.guest.held.length > 0);
  scene.guest.held.pop()!();
  const said = (await text).match(/<[\w-]+>/g);
  assert.deepEqual(said, ["<held>", ...Array.from({ length: count }, (_, at) => `<ahead-${at}>`)]);
});

test("what is none of the short way's goes on by Node's own, from its first byte on", async (t) => {
  const scene = await openScene(t);
  await gather(t, scene);
  const body = Buffer.alloc(700_001, "0123456789abcdefg");
  const head = `POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
  const plain = "GET /first HTTP/1.1\r\nHost: a\r\n\r\n";
  const posted = await told(t, scene, [plain, head.slice(0, 9), head.slice(9), body], /0\r\n\r\n$/);
  const [first, echoed] = posted.split("<first>");
  assert.match(first!, /^HTTP\/1\.1 200/);
  const chunks = echoed!
    .split(/\r\n[0-9a-f]+\r\n/)
    .slice(1)
    .join("")
    .trimEnd();
  assert.ok(chunks === body.toString(), `${chunks.length} of ${body.length} bytes`);
  const upgrade = "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
  const pieces = [`${upgrade}early.`, body.subarray(0, 300_000), body.subarray(300_000), ".end"];
  const switched = await told(t, scene, pieces, /\.end$/);
  assert.ok(switched.endsWith(`\r\n\r\nearly.${body.toString()}.end`), `${switched.length} bytes`);
  assert.match(switched, /^HTTP\/1\.1 101/);
});

test("where no second descriptor is to be had, connections are read by their streams", async (t) => {
  const native = openDirectTcp(loadNativeLibrary())!;
  const direct: DirectSockets = {
    send: (...args) => native.send(...args),
    duplicate: (fd) => (fd % 2 === 0 ? undefined : native.duplicate(fd)),
    close: (fd) => native.close(fd),
  };
  const scene = await openScene(t, { openDirectSockets: () => direct });
  await gather(t, scene);
  await gather(t, scene);
});

test("a door that closes ends them all, and no descriptor is left", async (t) => {
  const descriptors = (): number => readdirSync("/proc/self/fd").length;
  const before = descriptors();
  const scene = await openScene(t);
  await gather(t, scene);
  const silent = Array.from({ length: 10 }, () => connect(scene.door.port, "127.0.0.1").on("error", () => {}));
  await until("all to be there", 5_000, () => scene.direct.duplicates >= 10);
  const ended = Promise.all(silent.map((socket) => once(socket.resume(), "close")));
  assert.ok(descriptors() > before + 2 * crowd);
  await scene.door.close();
  await ended;
  await until("all descriptors to be free", 5_000, () => descriptors() <= before);
});

test("bytes of a TLS connection never go past it", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "hearth-direct-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const setting = { vhost: "v", hasName: () => true, ...makeCertificate(folder, "a.example.com") };
  const { door, direct } = await openScene(t, {
    tls: { certificates: new Certificates([setting]), hasHttp2: true },
    scheme: "https",
  });
  const clients = Array.from({ length: crowd }, () => new RawHttp({ port: door.port, isTls: true }));
  t.after(() => clients.forEach((client) => client.close()));
  await Promise.all(clients.map((client, at) => get(client, `small-${at}`)));
  await Promise.all(clients.map((client, at) => get(client, `again-${at}`)));
  assert.deepEqual([direct.calls, direct.duplicates], [0, 0]);
});

test("nothing is answered behind the answer that ends a connection, however it is said", async (t) => {
  const scene = await openScene(t);
  await gather(t, scene);
  const asked: string[] = [];
  const serve = scene.guest.serve.bind(scene.guest);
  scene.guest.serve = (exchange, target) => (asked.push(target.file), serve(exchange, target));
  const last = "GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
  const more = "GET /more HTTP/1.1\r\nHost: a\r\n\r\n";
  for (const pieces of [[last + more], [last, more, more]]) {
    const text = await told(t, scene, pieces, /<last>/);
    assert.ok(text.endsWith("<last>"), text);
  }
  await get(new RawHttp({ port: scene.door.port }), "done");
  assert.deepEqual(asked, ["last", "last", "done"]);
});
