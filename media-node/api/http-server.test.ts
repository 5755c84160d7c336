import assert from "node:assert/strict";
import { once } from "node:events";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { get as httpGet } from "node:http";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import { get as httpsGet } from "node:https";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { connect as connectTls } from "node:tls";
import { makeCertificate } from "../../test/support/certificate.ts";
import { until } from "../../test/support/until.ts";
import type { HttpGuest, PlainExchange } from "../core/guest.ts";
import { silentLogger } from "../flow/logger.ts";
import { Certificates } from "./certificates.ts";
import { listenForViewers, type HttpServer, type HttpServerOptions } from "./http-server.ts";

const body = Buffer.from("bytes of a part");
const headers = ["Content-Type", "video/mp4", "Content-Length", String(body.length)];

const comingPieces = 400;
const comingSize = 64 * 1024;
const comingHeaders = ["Content-Type", "video/mp4", "Content-Length", String(comingPieces * comingSize)];

/** Answers `part`, holds `held` until told, takes posts. */
class Guest implements HttpGuest {
  readonly held: PlainExchange[] = [];
  gone = 0;
  /** Of bodies that come: how many were begun and let go, and pieces asked for. */
  begun = 0;
  ended = 0;
  asked = 0;

  serve(exchange: PlainExchange, { file }: { file: string }): boolean {
    if (file === "part") exchange.send(200, headers, [body.subarray(0, 5), body.subarray(5)]);
    else if (file === "coming") exchange.send(200, comingHeaders, this.#coming());
    else if (file === "fault") throw new Error("a bug of ours");
    else if (file === "broken") exchange.send(200, comingHeaders, this.#coming(2));
    else if (file === "held") {
      this.held.push(exchange);
      exchange.onGone(() => this.gone++);
    } else return false;
    return true;
  }

  /** Pieces that are made when they are asked for; fails at one of them. */
  async *#coming(failsAt = comingPieces): AsyncGenerator<Uint8Array> {
    this.begun++;
    try {
      for (let index = 0; index < comingPieces; index++) {
        if (index === failsAt) throw new Error("the disk is gone");
        this.asked++;
        yield Buffer.alloc(comingSize, 65 + (index % 26));
        await Promise.resolve();
      }
    } finally {
      this.ended++;
    }
  }

  handle(request: Parameters<NonNullable<HttpGuest["handle"]>>[0], response: { end(text: string): void }): boolean {
    let text = "";
    request.on("data", (bytes: Buffer) => (text += bytes.toString()));
    request.on("end", () => response.end(`${request.method} ${text}`));
    return request.method === "POST";
  }

  upgrade(_request: unknown, socket: { end(text: string): void }): boolean {
    socket.end("HTTP/1.1 101 Switching Protocols\r\n\r\nhello");
    return true;
  }
}

async function openDoor(t: TestContext, options: Partial<HttpServerOptions> = {}): Promise<[HttpServer, Guest]> {
  const guest = new Guest();
  const door = await listenForViewers({
    port: 0,
    address: "127.0.0.1",
    guests: [guest],
    resolve: (host, path) => {
      const [, app = "", stream = "", file = ""] = path.split("/");
      return host.endsWith("example.com") ? { vhost: "v", app, stream, file } : undefined;
    },
    scheme: "http",
    state: () => "serving",
    logger: silentLogger,
    portSetting: "Port",
    ...options,
  });
  t.after(() => door.close());
  return [door, guest];
}

/** Sends bytes, collects what comes. */
class Raw {
  readonly socket: Socket;
  text = "";
  isClosed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (bytes: Buffer) => (this.text += bytes.toString("latin1")));
    socket.on("close", () => (this.isClosed = true));
    socket.on("error", () => {});
  }

  count(text: string): number {
    return this.text.split(text).length - 1;
  }

  async has(text: string, count = 1): Promise<void> {
    await until(`${count} × ${text}`, 5_000, () => this.count(text) === count);
  }
}

const ask = (method: string, file: string, more = ""): string =>
  `${method} /app/stream/${file} HTTP/1.1\r\nHost: a.example.com\r\n${more}\r\n`;

test("requests come in any pieces, behind each other, on one connection", async (t) => {
  const [door] = await openDoor(t);
  const raw = new Raw(connect(door.port, "127.0.0.1"));
  t.after(() => raw.socket.destroy());
  for (const letter of ask("GET", "part")) raw.socket.write(letter);
  await raw.has(body.toString());
  raw.socket.write(ask("GET", "part") + ask("HEAD", "part") + ask("GET", "part"));
  await raw.has("HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 15\r\nDate: ", 4);
  await raw.has(body.toString(), 3);
  assert.equal(raw.count("Connection: keep-alive"), 4);
});

test("a body that comes is sent whole, in order, before what was asked for behind it", async (t) => {
  const [door, guest] = await openDoor(t);
  const socket = connect(door.port, "127.0.0.1");
  t.after(() => socket.destroy());
  let bytes = 0;
  let end = "";
  socket.on("data", (piece: Buffer) => {
    bytes += piece.length;
    end = (end + piece.toString("latin1")).slice(-200);
  });
  socket.write(ask("HEAD", "coming") + ask("GET", "coming") + ask("GET", "part"));
  await until("both bodies", 10_000, () => end.endsWith(body.toString()));
  assert.ok(bytes > comingPieces * comingSize && bytes < comingPieces * comingSize + 2_000, `${bytes} bytes`);
  assert.deepEqual([guest.begun, guest.ended], [1, 1], "a HEAD begins no body");
});

test("who takes a body slowly has it made no faster, and one who goes lets it go", async (t) => {
  const [door, guest] = await openDoor(t);
  const socket = connect(door.port, "127.0.0.1");
  socket.write(ask("GET", "coming"));
  await once(socket, "readable");
  socket.pause();
  let before = -1;
  await until("nothing more to be made", 10_000, () => {
    const stands = guest.asked === before;
    before = guest.asked;
    return stands;
  });
  assert.ok(guest.asked < comingPieces, `${guest.asked} pieces for a client that reads none`);
  socket.destroy();
  await until("the body to be let go", 5_000, () => guest.ended === 1);
});

test("a body that breaks off breaks the connection: a part does not pass for the whole", async (t) => {
  const [door] = await openDoor(t);
  const raw = new Raw(connect(door.port, "127.0.0.1"));
  raw.socket.write(ask("GET", "broken") + ask("GET", "part"));
  await until("the connection to be closed", 5_000, () => raw.isClosed);
  assert.equal(raw.count("HTTP/1.1 200"), 1);
});

test("an answer that waits holds the ones behind it back, in order", async (t) => {
  const [door, guest] = await openDoor(t);
  const raw = new Raw(connect(door.port, "127.0.0.1"));
  t.after(() => raw.socket.destroy());
  raw.socket.write(ask("GET", "held") + ask("GET", "part"));
  await until("the request to be held", 5_000, () => guest.held.length === 1);
  guest.held[0]!.send(202, ["Content-Length", "0"]);
  await raw.has(body.toString());
  assert.match(raw.text, /^HTTP\/1\.1 202 Accepted\r\n[^]*HTTP\/1\.1 200 OK/);
});

test("who sends many requests ahead leaves the others their turns, and is answered all the same", async (t) => {
  const [door] = await openDoor(t);
  const greedy = Array.from({ length: 8 }, () => new Raw(connect({ port: door.port, host: "127.0.0.1" })));
  const modest = new Raw(connect(door.port, "127.0.0.1"));
  for (const { socket } of [...greedy, modest]) t.after(() => socket.destroy());
  await Promise.all([...greedy, modest].map(({ socket }) => once(socket, "connect")));
  for (const { socket } of greedy) socket.end(ask("GET", "part").repeat(50));
  modest.socket.write(ask("GET", "part"));
  await modest.has(body.toString());
  const before = greedy.reduce((sum, raw) => sum + raw.count(body.toString()), 0);
  assert.ok(before < 8 * 50, `${before} answers before it`);
  for (const raw of greedy) await raw.has(body.toString(), 50);
  await until("all that ended to be closed", 5_000, () => greedy.every(({ isClosed }) => isClosed));
});

test("a client that goes is told to whoever holds its request", async (t) => {
  const [door, guest] = await openDoor(t);
  const raw = new Raw(connect(door.port, "127.0.0.1"));
  raw.socket.write(ask("GET", "held"));
  await until("the request to be held", 5_000, () => guest.held.length === 1);
  raw.socket.end();
  await until("its end to be noticed", 5_000, () => guest.gone === 1);
  assert.equal(guest.held[0]!.isOver, true);
  guest.held[0]!.send(200, headers, [body]);
});

test("Connection: close is honoured", async (t) => {
  const [door] = await openDoor(t);
  const raw = new Raw(connect(door.port, "127.0.0.1"));
  raw.socket.write(ask("GET", "part", "Connection: close\r\n"));
  await until("the connection to be closed", 5_000, () => raw.isClosed);
  assert.match(raw.text, /Connection: close\r\n\r\nbytes of a part$/);
});

test("what is more than a question is node:http's, on the same connection", async (t) => {
  const [door] = await openDoor(t);
  const raw = new Raw(connect(door.port, "127.0.0.1"));
  t.after(() => raw.socket.destroy());
  raw.socket.write(ask("GET", "part") + ask("POST", "whep", "Content-Length: 3\r\n") + "abc" + ask("GET", "part"));
  await raw.has("POST abc");
  await raw.has(body.toString(), 2);
  raw.socket.write("GET /-/health HTTP/1.1\r\nHost: b.example.com\r\n\r\n");
  await raw.has("ready\n");
  raw.socket.write(ask("GET", "ws", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  await raw.has("101 Switching Protocols\r\n\r\nhello");
});

const refused = {
  "no host": "GET /app/stream/part HTTP/1.1\r\n\r\n",
  "two hosts": ask("GET", "part", "Host: b.example.com\r\n"),
  "a blank before the colon": ask("GET", "part", "X : y\r\n"),
  "a bare line feed": ask("GET", "part", "X: y\nZ: w\r\n"),
  "a length and an encoding": ask("GET", "part", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
  "a head without end": ask("GET", "part", `X: ${"y".repeat(100_000)}`),
  "no HTTP": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
};

for (const [what, bytes] of Object.entries(refused)) {
  test(`a request with ${what} is refused`, async (t) => {
    const [door] = await openDoor(t);
    const raw = new Raw(connect(door.port, "127.0.0.1"));
    raw.socket.write(bytes);
    await until("the connection to be closed", 5_000, () => raw.isClosed);
    assert.match(raw.text, /^HTTP\/1\.1 4/);
    assert.equal(raw.count("200 OK"), 0);
  });
}

interface Secure {
  readonly door: HttpServer;
  readonly guest: Guest;
  readonly folder: string;
  readonly certificates: Certificates;
}

/** A door with a certificate for each of two virtual hosts. */
async function openSecureDoor(t: TestContext, hasHttp2 = true): Promise<Secure> {
  const folder = mkdtempSync(join(tmpdir(), "hearth-tls-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const settings = ["b", "a"].map((vhost) => {
    const host = `${vhost}.example.com`;
    return { vhost, hasName: (name: string) => name === host, ...makeCertificate(folder, host) };
  });
  const certificates = new Certificates(settings);
  const [door, guest] = await openDoor(t, { tls: { certificates, hasHttp2 }, scheme: "https" });
  return { door, guest, folder, certificates };
}

/** Of the certificate that is shown to who asks for `servername`. */
async function shownName(port: number, servername?: string): Promise<string> {
  const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false, ...(servername && { servername }) });
  await once(socket, "secureConnect");
  const { fingerprint256, subject } = socket.getPeerCertificate();
  socket.destroy();
  return `${subject.CN} ${fingerprint256}`;
}

test("each virtual host has its certificate, and the first of them is for everybody else", async (t) => {
  const { door } = await openSecureDoor(t);
  assert.match(await shownName(door.port, "b.example.com"), /^b\.example\.com /);
  assert.match(await shownName(door.port, "a.example.com"), /^a\.example\.com /);
  assert.match(await shownName(door.port, "other.example.com"), /^a\.example\.com /);
  assert.match(await shownName(door.port), /^a\.example\.com /);
});

test("certificates are read again while connections go on; a broken one is left as it was", async (t) => {
  const { door, folder, certificates } = await openSecureDoor(t);
  const client = connectHttp2(`https://127.0.0.1:${door.port}`, { rejectUnauthorized: false });
  t.after(() => client.destroy());
  const before = [await shownName(door.port, "a.example.com"), await shownName(door.port, "b.example.com")];
  makeCertificate(folder, "a.example.com");
  copyFileSync(join(folder, "a.example.com.key"), join(folder, "b.example.com.key"));
  const problems = certificates.reload();
  door.useCertificates();
  assert.equal(problems.length, 1);
  assert.match(problems[0]!, /virtual host "b" cannot be used.*b\.example\.com\.crt/);
  const after = [await shownName(door.port, "a.example.com"), await shownName(door.port, "b.example.com")];
  assert.notEqual(after[0], before[0]);
  assert.equal(after[1], before[1]);
  assert.equal(await shownName(door.port), after[0]);
  assert.equal((await http2Get(client, "part")).status, 200);
});

test("a certificate that cannot be read is a mistake with a remedy", () => {
  const setting = { vhost: "v", certPath: "/nowhere/x.crt", keyPath: "/nowhere/x.key", hasName: () => true };
  assert.throws(() => new Certificates([setting]), {
    name: "SettingError",
    message:
      /^\/nowhere\/x\.crt cannot be read \(ENOENT.*correct Host\/TLS\/CertPath of virtual host "v" in Server\.xml/,
  });
});

interface Http2Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly text: string;
}

async function http2Get(client: ClientHttp2Session, file: string, method = "GET", sent = ""): Promise<Http2Answer> {
  const headers = { ":method": method, ":path": `/app/stream/${file}`, ":authority": "a.example.com" };
  const stream = client.request(headers, { endStream: sent === "" });
  let text = "";
  stream.on("data", (bytes: Buffer) => (text += bytes.toString()));
  if (sent !== "") stream.end(sent);
  const [[answered]] = await Promise.all([once(stream, "response"), once(stream, "end")]);
  return { status: Number(answered[":status"]), headers: answered, text };
}

test("a request that names its host as proxies are asked is for that host", async (t) => {
  const [door] = await openDoor(t);
  const raw = new Raw(connect(door.port, "127.0.0.1"));
  raw.socket.write("GET http://a.example.com/app/stream/part HTTP/1.1\r\nHost: elsewhere.test\r\n\r\n");
  await raw.has(body.toString());
  raw.socket.write("GET http://elsewhere.test/app/stream/part HTTP/1.1\r\nHost: a.example.com\r\n\r\n");
  await raw.has("404 Not Found");
});

test("a query longer than any is 431, for pages to read", async (t) => {
  const [door] = await openDoor(t);
  const raw = new Raw(connect(door.port, "127.0.0.1"));
  raw.socket.write(ask("GET", `part?x=${"y".repeat(20_000)}`));
  await until("the connection to be closed", 5_000, () => raw.isClosed);
  assert.match(raw.text, /^HTTP\/1\.1 431 [^]*Access-Control-Allow-Origin: \*\r\n[^]*Content-Length: 0\r\n/);
});

test("HTTP/2 answers everything that HTTP/1.1 does", async (t) => {
  const { door, guest } = await openSecureDoor(t);
  const client = connectHttp2(`https://127.0.0.1:${door.port}`, { rejectUnauthorized: false });
  t.after(() => client.destroy());
  const part = await http2Get(client, "part");
  assert.deepEqual([part.status, part.text, part.headers["content-type"]], [200, body.toString(), "video/mp4"]);
  assert.ok(part.headers["date"]);
  assert.deepEqual((await http2Get(client, "part", "HEAD")).text, "");
  const coming = await http2Get(client, "coming");
  assert.deepEqual([coming.status, coming.text.length], [200, comingPieces * comingSize]);
  assert.deepEqual((await http2Get(client, "coming", "HEAD")).text, "");
  assert.deepEqual([guest.begun, guest.ended], [1, 1]);
  assert.equal((await http2Get(client, "nothing")).status, 404);
  assert.equal((await http2Get(client, "whep", "POST", "abc")).text, "POST abc");
  const held = client.request({ ":path": "/app/stream/held", ":authority": "a.example.com" });
  held.on("error", () => {});
  await until("the request to be held", 5_000, () => guest.held.length === 1);
  held.close();
  await until("its end to be noticed", 5_000, () => guest.gone === 1);
});

test("who asks for what fails, or is not there, is told by a status that pages may read, and that no cache keeps", async (t) => {
  const { door } = await openSecureDoor(t);
  const client = connectHttp2(`https://127.0.0.1:${door.port}`, { rejectUnauthorized: false });
  t.after(() => client.destroy());
  const [plain] = await openDoor(t);
  const raw = new Raw(connect(plain.port, "127.0.0.1"));
  for (const [method, file, status] of [
    ["GET", "fault", 500],
    ["OPTIONS", "fault", 500],
    ["GET", "nothing", 404],
    ["OPTIONS", "nothing", 204],
  ] as const) {
    const answer = await http2Get(client, file, method);
    const { "access-control-allow-origin": allowed, "cache-control": caching } = answer.headers;
    assert.deepEqual([answer.status, allowed, caching], [status, "*", "no-store"], `${method} ${file}`);
    raw.text = "";
    raw.socket.write(ask(method, file, "Access-Control-Request-Headers: x-token\r\n"));
    await until("an answer", 5_000, () => raw.text.includes("\r\n\r\n"));
    assert.match(
      raw.text,
      new RegExp(`^HTTP/1.1 ${status} [^]*Access-Control-Allow-Origin: \\*\r\n`),
      `${method} ${file}`,
    );
    assert.match(raw.text, /\r\nCache-Control: no-store\r\n/);
    const isPreflight = /Access-Control-Allow-Headers: x-token\r\n/.test(raw.text);
    assert.equal(isPreflight, method === "OPTIONS" && file === "nothing");
  }
});

test("HTTP/1.1 over TLS, also where HTTP/2 is switched off", async (t) => {
  for (const hasHttp2 of [true, false]) {
    const { door } = await openSecureDoor(t, hasHttp2);
    const options = { rejectUnauthorized: false, headers: { Host: "a.example.com" } };
    const [answer] = await once(httpsGet(`https://127.0.0.1:${door.port}/app/stream/part`, options), "response");
    answer.resume();
    assert.equal(answer.statusCode, 200);
    const offered = {
      port: door.port,
      host: "127.0.0.1",
      rejectUnauthorized: false,
      ALPNProtocols: ["h2", "http/1.1"],
    };
    const socket = connectTls(offered);
    await once(socket, "secureConnect");
    assert.equal(socket.alpnProtocol, hasHttp2 ? "h2" : "http/1.1");
    socket.destroy();
  }
});

test("what went out is counted, over TLS too", async (t) => {
  const { door } = await openSecureDoor(t);
  const [plain] = await openDoor(t);
  const headers = { Host: "a.example.com" };
  const asks = [
    () => httpsGet(`https://127.0.0.1:${door.port}/app/stream/part`, { rejectUnauthorized: false, headers }),
    () => httpGet(`http://127.0.0.1:${plain.port}/app/stream/part`, { headers }),
  ];
  for (const ask of asks) {
    const [answer] = await once(ask(), "response");
    answer.resume();
    await once(answer, "end");
  }
  assert.ok(plain.bytesSent > 100 && plain.bytesSent < 400, `${plain.bytesSent}`);
  assert.ok(door.bytesSent > 500, `${door.bytesSent}`);
});
