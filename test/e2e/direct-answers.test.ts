import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Certificates } from "../../media-node/api/certificates.ts";
import type { DirectSend } from "../../media-node/api/direct-send.ts";
import { listenForViewers, type HttpServer, type HttpServerOptions } from "../../media-node/api/http-server.ts";
import type { HttpGuest, PlainExchange, ViewerTarget } from "../../media-node/core/guest.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { loadNativeLibrary } from "../../media-node/webrtc/native/library.ts";
import { openTcpSend } from "../../media-node/webrtc/native/tcp-send.ts";
import { makeCertificate } from "../support/certificate.ts";
import { RawHttp } from "../support/raw-http.ts";
import { until } from "../support/until.ts";

/** As many connections as a door takes for a crowd, and some. */
const crowd = 40;
const largeBytes = 8 << 20;

/** Says to everybody the name they asked for: `held…` when told, `large…` many times over. */
class Guest implements HttpGuest {
  readonly held: (() => void)[] = [];

  serve(exchange: PlainExchange, { file }: ViewerTarget): boolean {
    const text = `<${file}>`;
    const body = file.startsWith("large") ? Buffer.alloc(largeBytes, text) : Buffer.from(text);
    const send = (): void => exchange.send(200, ["Content-Length", `${body.length}`], [body]);
    if (file.startsWith("held")) this.held.push(send);
    else send();
    return true;
  }
}

/** Counts what went out directly. */
class Counted implements DirectSend {
  readonly #direct: DirectSend;
  calls = 0;
  bytes = 0;

  constructor(direct: DirectSend) {
    this.#direct = direct;
  }

  send(fd: number, start: Uint8Array, body: Uint8Array | undefined): number {
    const sent = this.#direct.send(fd, start, body);
    this.calls++;
    this.bytes += sent;
    return sent;
  }
}

interface Scene {
  readonly door: HttpServer;
  readonly guest: Guest;
  readonly direct: Counted;
}

async function openScene(t: TestContext, options: Partial<HttpServerOptions> = {}): Promise<Scene> {
  const native = openTcpSend(loadNativeLibrary());
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
    openDirectSend: () => direct,
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
  assert.equal(direct.calls, 0);
});
