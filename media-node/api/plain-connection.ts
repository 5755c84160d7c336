import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { AnswerBody, PlainExchange } from "../core/guest.ts";
import { openFdOf, type DirectSockets } from "./direct-sockets.ts";
import { isComing } from "./node-exchange.ts";
import { headText, maxJoinedBytes, prepare } from "./prepared-answer.ts";
import { parseRequestHead, repeatRequestHead, type HeadFields, type RequestHead } from "./request-head.ts";
import type { RequestLine } from "./request-target.ts";

/** What a connection needs of its door. */
export interface PlainDoor {
  /** Seconds since the door opened, moved on by {@link PlainConnection.sweep}. */
  readonly nowSeconds: number;
  /** `Date`, as of {@link nowSeconds}. */
  readonly date: string;
  /** Undefined as long as bytes go by the sockets' streams only. */
  readonly direct: DirectSockets | undefined;
  /** Bytes went out that no socket counts. */
  sentDirectly(bytes: number): void;
  /** Offers a request to the guests; false when none takes it. */
  serve(exchange: PlainExchange & RequestLine): boolean;
  /** Has the connection {@link PlainConnection.readNext} when others had a turn: it sent requests ahead. */
  later(connection: PlainConnection): void;
  /** Takes a connection over, from the bytes on that were put back into it. */
  handOver(socket: Socket): void;
  closed(connection: PlainConnection): void;
}

/** Longest head looked at; a longer one is left to Node's parser, which has a limit, too. */
const maxHeadBytes = 16 * 1024;
/** A head must be complete this long after its first byte, or after the connection was made. */
const headSeconds = 10;
/** A connection without a request stays open for this long. */
const idleSeconds = 20;
/** A client takes an answer at this rate at least, after a pause of {@link pauseSeconds}, or it is cut off. */
const leastBytesPerSecond = 8 * 1024;
const pauseSeconds = 10;
/** Requests sent ahead wait while this much of earlier answers does. */
const maxUnsentBytes = 64 * 1024;
const endOfHead = Buffer.from("\r\n\r\n");

/**
 * One HTTP/1.1 connection on which media is asked for: plain GETs and HEADs are answered here, with a fraction of what
 * node:http spends on a response. The first request of any other kind hands the whole connection to node:http.
 */
export class PlainConnection {
  readonly #socket: Socket;
  readonly #door: PlainDoor;
  readonly #isTls: boolean;
  #unread: Buffer | undefined;
  #exchange: Exchange | undefined;
  /** Of the request before. */
  #fields: HeadFields | undefined;
  readonly peer: Peer;
  /** When the phase began that {@link sweep} limits: reading a head, or waiting for one. */
  #sinceSeconds: number;
  /** By then everything written must have been taken. */
  #takenBySeconds = 0;
  #isHandedOver = false;
  /** Nothing follows what was read. */
  #hasEnded = false;

  /** Whether a request waits for its answer, or an answer for its client. */
  get isAnswering(): boolean {
    return this.#exchange !== undefined || this.#socket.writableLength > 0;
  }

  constructor(socket: Socket, door: PlainDoor) {
    this.#socket = socket;
    this.#door = door;
    this.#isTls = socket instanceof TLSSocket;
    this.#sinceSeconds = door.nowSeconds;
    const { localPort, remoteAddress, remotePort } = socket;
    this.peer = { localPort, remoteAddress, remotePort };
    socket.on("data", this.#onData);
    socket.on("drain", this.#onDrain);
    socket.on("end", this.#onEnd);
    socket.on("error", this.#onError);
    socket.on("close", this.#onClose);
  }

  /** Ends what takes too long. Call every second. */
  sweep(): void {
    const { nowSeconds } = this.#door;
    const socket = this.#socket;
    if (socket.writableLength > 0) {
      if (nowSeconds > this.#takenBySeconds) socket.destroy();
      return;
    }
    if (this.#exchange) return;
    const limit = this.#unread || socket.bytesRead === 0 ? headSeconds : idleSeconds;
    if (nowSeconds - this.#sinceSeconds > limit) socket.destroy();
  }

  readonly #onData = (bytes: Buffer): void => {
    // Nothing follows the last answer, whatever is still said.
    if (this.#socket.writableEnded) return;
    if (!this.#unread) this.#sinceSeconds = this.#door.nowSeconds;
    this.#unread = this.#unread ? Buffer.concat([this.#unread, bytes]) : bytes;
    this.#read();
  };

  /** Takes the first `size` bytes, which are somebody else's afterwards. @returns false when no more are wanted for now */
  readLent(memory: Buffer, size: number): boolean {
    if (this.#readRepeated(memory, size)) return true;
    const bytes = memory.subarray(0, size);
    if (this.#isHandedOver) return this.#socket.push(Buffer.from(bytes));
    this.#onData(bytes);
    if (this.#unread?.buffer === bytes.buffer) this.#unread = Buffer.from(this.#unread);
    return true;
  }

  /** Nearly all that comes to a crowd: one request, like the one before it but for its first line. */
  #readRepeated(memory: Buffer, size: number): boolean {
    if (this.#exchange || this.#unread || !this.#fields || this.#isHandedOver || this.#isFull) return false;
    const head = repeatRequestHead(memory, this.#fields, size);
    if (head?.size !== size) return false;
    this.#sinceSeconds = this.#door.nowSeconds;
    return this.#serve(head);
  }

  readonly #onDrain = (): void => {
    this.readNext();
  };

  /** Who says nothing more waits for nothing more; what was answered is still sent. */
  readonly #onEnd = (): void => {
    this.#hasEnded = true;
    if (this.#exchange && !this.#exchange.isOver) this.#socket.destroy();
    else if (!this.#exchange && !this.#unread?.includes(endOfHead)) this.#socket.end();
  };

  readonly #onError = (): void => {
    this.#socket.destroy();
  };

  readonly #onClose = (): void => {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.gone();
    this.#door.closed(this);
  };

  /** Takes the request that was sent ahead, if none waits before it. */
  readNext(): void {
    if (!this.#exchange) this.#read();
  }

  /** Takes one request. What was sent behind it has its turn after others': many answers are work for many turns. */
  #read(): void {
    const bytes = this.#unread;
    if (!bytes || this.#isHandedOver || this.#socket.writableEnded || this.#socket.destroyed) return;
    if (this.#exchange || this.#isFull) return this.#wait();
    const head = (this.#fields && repeatRequestHead(bytes, this.#fields)) ?? this.#parseHead(bytes);
    if (head === "unfinished") return;
    if (!head || head.size > maxHeadBytes) return this.#handOver();
    this.#fields = head.fields;
    this.#unread = bytes.length > head.size ? bytes.subarray(head.size) : undefined;
    if (!this.#serve(head)) {
      this.#unread = bytes;
      return this.#handOver();
    }
    if (this.#exchange && this.#unread) this.#wait();
  }

  /** @returns false where no guest takes it */
  #serve(head: RequestHead): boolean {
    const exchange = new Exchange(head, this);
    this.#exchange = exchange;
    const isTaken = this.#door.serve(exchange);
    if (!isTaken) this.#exchange = undefined;
    return isTaken;
  }

  /** Whether too much of earlier answers waits, or the last one was given. */
  get #isFull(): boolean {
    return this.#socket.writableLength > maxUnsentBytes || this.#socket.writableEnded;
  }

  #parseHead(bytes: Buffer): RequestHead | "unfinished" | undefined {
    const end = bytes.indexOf(endOfHead);
    if (end >= 0) return end > maxHeadBytes ? undefined : parseRequestHead(bytes, end + endOfHead.length);
    if (this.#hasEnded) this.#socket.end();
    else if (bytes.length > maxHeadBytes || !mayBePlain(bytes)) return undefined;
    return "unfinished";
  }

  /** Reads no more until there is room: what a client sends ahead stays in its own socket. */
  #wait(): void {
    if (this.#unread && this.#unread.length > maxHeadBytes) this.#socket.pause();
  }

  #handOver(): void {
    this.#isHandedOver = true;
    const socket = this.#socket;
    socket.off("data", this.#onData);
    socket.off("drain", this.#onDrain);
    socket.off("end", this.#onEnd);
    socket.off("error", this.#onError);
    socket.off("close", this.#onClose);
    socket.pause();
    // A copy: it may be lent.
    if (this.#unread) socket.unshift(Buffer.from(this.#unread));
    this.#unread = undefined;
    this.#door.closed(this);
    this.#door.handOver(socket);
    process.nextTick(() => socket.resume());
  }

  answer(exchange: Exchange, status: number, headers: readonly string[], body: AnswerBody): void {
    if (this.#exchange !== exchange) return;
    const socket = this.#socket;
    const { method } = exchange;
    const { keepsAlive } = exchange.fields;
    const { date } = this.#door;
    if (isComing(body)) {
      socket.write(headText(status, headers, date, keepsAlive), "latin1");
      if (method === "GET") void this.#follow(exchange, body);
      else this.#answered(exchange, 0);
      return;
    }
    const pieces = method === "GET" ? body : [];
    let size = 0;
    for (const piece of pieces) size += piece.length;
    const joined = size > 0 && size <= maxJoinedBytes ? pieces : undefined;
    const start = keepsAlive
      ? prepare(status, headers, date, joined)
      : Buffer.from(headText(status, headers, date, false), "latin1");
    this.#write(start, joined && keepsAlive ? [] : pieces);
    this.#answered(exchange, size);
  }

  #write(start: Uint8Array, pieces: readonly Uint8Array[]): void {
    const socket = this.#socket;
    const sent = pieces.length < 2 ? this.#sendDirectly(start, pieces[0]) : 0;
    if (sent < start.length) {
      if (pieces.length === 0) {
        socket.write(start.subarray(sent));
        return;
      }
      socket.cork();
      socket.write(start.subarray(sent));
      for (const piece of pieces) socket.write(piece);
      socket.uncork();
    } else if (pieces[0] && sent < start.length + pieces[0].length) {
      socket.write(pieces[0].subarray(sent - start.length));
    }
  }

  /** @returns how many bytes the system took; the rest is the stream's, which also learns why */
  #sendDirectly(start: Uint8Array, body: Uint8Array | undefined): number {
    const { direct } = this.#door;
    const fd = direct && !this.#isTls ? openFdOf(this.#socket) : undefined;
    if (!direct || fd === undefined) return 0;
    const sent = direct.send(fd, start, body);
    this.#door.sentDirectly(sent);
    return sent;
  }

  /** Sends a body that comes piece by piece: the next one is asked for when the client has taken those before. */
  async #follow(exchange: Exchange, body: AsyncIterable<Uint8Array>): Promise<void> {
    const socket = this.#socket;
    try {
      for await (const piece of body) {
        if (socket.destroyed) return;
        this.#owe(piece.length);
        if (!socket.write(piece)) await untilTaken(socket);
        if (socket.destroyed) return;
      }
    } catch {
      // A part of an answer must not pass for the whole.
      socket.destroy();
      return;
    }
    if (this.#exchange === exchange) this.#answered(exchange, 0);
  }

  #owe(bytes: number): void {
    const { nowSeconds } = this.#door;
    this.#takenBySeconds = Math.max(this.#takenBySeconds, nowSeconds + pauseSeconds) + bytes / leastBytesPerSecond;
  }

  /** All of an answer was written: goes on with the next request. */
  #answered({ fields }: Exchange, bytes: number): void {
    const socket = this.#socket;
    this.#exchange = undefined;
    this.#sinceSeconds = this.#door.nowSeconds;
    this.#owe(bytes);
    if (!fields.keepsAlive) {
      socket.end();
      return;
    }
    if (socket.isPaused()) socket.resume();
    // Many answers are written in one turn, and none of them must wait for requests behind it.
    if (this.#unread) this.#door.later(this);
    else if (this.#hasEnded) socket.end();
  }
}

/** Resolves when the socket has room again, or is gone. */
function untilTaken(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      socket.off("drain", done).off("close", done);
      resolve();
    };
    socket.once("drain", done).once("close", done);
  });
}

/** Whether the beginning of a head may become one that is taken here. */
function mayBePlain(bytes: Buffer): boolean {
  const start = bytes.toString("latin1", 0, 5);
  return "GET /".startsWith(start) || "HEAD ".startsWith(start);
}

/** The two ends of a connection, as they were when it was made. */
type Peer = Pick<RequestLine, "localPort" | "remoteAddress" | "remotePort">;

class Exchange implements PlainExchange, RequestLine {
  readonly method: "GET" | "HEAD";
  readonly url: string;
  readonly fields: HeadFields;
  readonly #connection: PlainConnection;
  #listener: (() => void) | undefined;
  #more: (() => void)[] | undefined;
  #isOver = false;

  constructor({ method, url, fields }: RequestHead, connection: PlainConnection) {
    this.method = method;
    this.url = url;
    this.fields = fields;
    this.#connection = connection;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get authority(): string | undefined {
    return this.fields.host;
  }

  get localPort(): number | undefined {
    return this.#connection.peer.localPort;
  }

  get remoteAddress(): string | undefined {
    return this.#connection.peer.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#connection.peer.remotePort;
  }

  header(name: string): string | undefined {
    return this.fields.headers.get(name);
  }

  send(status: number, headers: readonly string[], body: AnswerBody = []): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#listener = this.#more = undefined;
    this.#connection.answer(this, status, headers, body);
  }

  onGone(listener: () => void): void {
    if (!this.#listener) this.#listener = listener;
    else (this.#more ??= []).push(listener);
  }

  gone(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#listener?.();
    for (const listener of this.#more ?? []) listener();
  }
}
