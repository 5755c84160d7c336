// What a viewer may send on a plain connection: however it is cut into pieces, and whether the memory of a piece is lent, the
// same requests are seen, and the same byte is the first that is left to node:http.
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { PlainConnection, type PlainDoor } from "../../media-node/api/plain-connection.ts";
import { parseRequestHead, repeatRequestHead } from "../../media-node/api/request-head.ts";

const head = "Host: edge.example.com:8080\r\nUser-Agent: player/1.0\r\nAccept-Encoding: gzip, deflate\r\n";
const get = (url: string, more = ""): string => `GET ${url} HTTP/1.1\r\n${head}${more}\r\n`;
const reload = get("/app/stream/chunklist_0_video_llhls.m3u8?_HLS_msn=12&_HLS_part=3");

export const seeds = [
  reload,
  reload + reload,
  get("/app/stream/part_0_12_3_video_key_llhls.m4s") + get("/app/stream/left.m3u8") + reload,
  get("/a", "Connection: close\r\n") + get("/b"),
  get("/a", "Connection: keep-alive\r\nRange: bytes=0-99\r\n") + reload.replace("GET", "HEAD"),
  `POST /app/stream?direction=whep HTTP/1.1\r\n${head}Content-Length: 5\r\n\r\nv=0\r\n${reload}`,
  get("/app/stream", "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"),
  reload.replaceAll("\r\n", "\n"),
  `OPTIONS * HTTP/1.1\r\n${head}\r\n`,
  `${get("/a", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n")}5\r\nabcde\r\n0\r\n\r\n`,
];

/** Both ends in one: what is written is counted, and what was handed over can be read. */
class NoSocket extends Duplex {
  readonly said: string[] = [];
  readonly remoteAddress = "192.0.2.1";
  readonly bytesRead = 1;

  constructor() {
    super({ allowHalfOpen: true });
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    this.said.push(bytes.toString("latin1"));
    done();
  }
}

interface Seen {
  readonly requests: readonly string[];
  readonly answers: string;
  /** What was left to node:http; undefined when nothing was. */
  readonly left: string | undefined;
}

/** @param isLent each piece comes in the same memory, before what is left of earlier ones, or of nothing */
function seenOf(pieces: readonly Uint8Array[], isLent: boolean): Seen {
  const socket = new NoSocket();
  const requests: string[] = [];
  const later = new Set<PlainConnection>();
  let isLeft = false;
  const door: PlainDoor = {
    nowSeconds: 0,
    date: "then",
    direct: undefined,
    sentDirectly: () => assert.fail("no direct way"),
    serve: (exchange) => {
      if (exchange.url.includes("left")) return false;
      requests.push(`${exchange.method} ${exchange.url} ${exchange.authority} ${exchange.header("range") ?? ""}`);
      exchange.send(200, ["Content-Length", "2"], [Buffer.from("ok")]);
      return true;
    },
    later: (connection) => void later.add(connection),
    handOver: () => (isLeft = true),
    closed: () => {},
  };
  const connection = new PlainConnection(socket as unknown as Socket, door);
  const memory = Buffer.alloc(Math.max(0, ...pieces.map(({ length }) => length)) + 1_024);
  for (const [index, piece] of pieces.entries()) {
    const bytes = Buffer.from(piece.slice().buffer);
    memory.set(bytes);
    if (isLent) connection.readLent(memory, bytes.length);
    else if (isLeft) socket.push(bytes);
    else socket.emit("data", bytes);
    if (index % 2 === 1) memory.fill(0x2f);
    for (const waiting of later) {
      later.delete(waiting);
      waiting.readNext();
    }
  }
  const rest: Buffer[] = [];
  for (let bytes = socket.read(); bytes !== null; bytes = socket.read()) rest.push(bytes as Buffer);
  const left = isLeft ? Buffer.concat(rest).toString("latin1") : undefined;
  socket.destroy();
  return { requests, answers: socket.said.join(""), left };
}

const valueIn = (line: string): string => line.slice(line.indexOf(":") + 1).replaceAll(/^[ \t]+|[ \t]+$/g, "");

/** Read by itself, a head says what its lines say, and nothing that ends a line is in it. */
function checkHead(bytes: Buffer): void {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return;
  const read = parseRequestHead(bytes, end + 4);
  if (!read) return;
  const [first, ...lines] = bytes.toString("latin1", 0, end).split("\r\n");
  assert.equal(first, `${read.method} ${read.url} HTTP/1.1`);
  assert.match(read.url, /^\/[\x21-\x7e]*$/);
  const hosts = lines.filter((line) => /^host:/i.test(line));
  assert.deepEqual([hosts.length, valueIn(hosts[0]!)], [1, read.fields.host]);
  for (const [name, value] of read.fields.headers) {
    assert.ok(!/[\0\r\n]/.test(value) && !["content-length", "transfer-encoding", "upgrade"].includes(name), name);
    assert.ok(
      lines.some((line) => line.toLowerCase().startsWith(`${name}:`) && valueIn(line) === value),
      name,
    );
  }
  assert.deepEqual(repeatRequestHead(bytes, read.fields), read);
}

export function fuzz(input: Uint8Array): void {
  checkHead(Buffer.from(input));
  if (input.length > 4_096) return;
  const whole = seenOf([input], false);
  const step = 1 + ((input[input.length >> 1] ?? 0) % 40);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < input.length; at += step) pieces.push(input.subarray(at, at + step));
  assert.deepEqual(seenOf(pieces, false), whole);
  assert.deepEqual(seenOf(pieces, true), whole);
  assert.deepEqual(seenOf([input], true), whole);
}
