import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
}

export interface RawHttpOptions {
  readonly port: number;
  readonly host?: string;
  /** Loopback has many: limits by address are not the client's then. */
  readonly localAddress?: string;
  readonly isTls?: boolean;
}

const endOfHead = Buffer.from("\r\n\r\n");

/** A keep-alive connection for GETs, one at a time, that costs a load generator little. */
export class RawHttp {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #size = 0;
  #wanted = -1;
  #bodyAt = 0;
  #head = "";
  #waiting: { resolve: (answer: RawAnswer) => void; reject: (error: Error) => void } | undefined;
  bytesRead = 0;

  constructor({ port, host = "127.0.0.1", localAddress, isTls = false }: RawHttpOptions) {
    const to = { port, host, ...(localAddress && { localAddress }) };
    this.#socket = isTls ? connectTls({ ...to, rejectUnauthorized: false }) : connect(to);
    this.#socket.setNoDelay();
    this.#socket.on("data", (bytes: Buffer) => this.#take(bytes));
    this.#socket.on("error", (error) => this.#fail(error));
    this.#socket.on("close", () => this.#fail(new Error("the connection was closed")));
  }

  get(path: string, headers = ""): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
      this.#socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n${headers}\r\n`);
    });
  }

  close(): void {
    this.#waiting = undefined;
    this.#socket.destroy();
  }

  #fail(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.reject(error);
  }

  #take(bytes: Buffer): void {
    this.#chunks.push(bytes);
    this.#size += bytes.length;
    this.bytesRead += bytes.length;
    if (this.#wanted < 0) {
      const all = this.#chunks.length === 1 ? bytes : Buffer.concat(this.#chunks);
      this.#chunks = [all];
      const end = all.indexOf(endOfHead);
      if (end < 0) return;
      this.#head = all.toString("latin1", 0, end);
      this.#bodyAt = end + 4;
      this.#wanted = this.#bodyAt + Number(/^content-length: (\d+)/im.exec(this.#head)?.[1] ?? 0);
    }
    if (this.#size < this.#wanted) return;
    const all = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks);
    const answer = { status: Number(this.#head.slice(9, 12)), head: this.#head, body: all.subarray(this.#bodyAt) };
    this.#chunks = [];
    this.#size = 0;
    this.#wanted = -1;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.resolve(answer);
  }
}
