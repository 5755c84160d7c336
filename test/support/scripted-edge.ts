// An edge of bytes: sends what a test says, keeps what the origin answers. Shares no code with the room under test.
import { duplexPair, type Duplex } from "node:stream";
import type { OvtPublisher } from "../../media-node/ovt/ovt-publisher.ts";
import { decodeTrace, type Trace } from "./ovt-fixtures.ts";
import { until } from "./ovt-kit.ts";

/** One request as packets, written by hand. */
export function requestBytes(request: Readonly<Record<string, unknown>>): Buffer {
  const body = Buffer.from(JSON.stringify(request));
  const header = Buffer.alloc(18);
  header[0] = 0x60;
  header[1] = 10;
  header.writeUInt16BE(body.length, 16);
  return Buffer.concat([header, body]);
}

export class ScriptedEdge {
  readonly connection: Duplex;
  readonly #chunks: Buffer[] = [];
  #id = 0;
  isEnded = false;
  isClosed = false;
  readonly target: string;

  /** Connects to `publisher`; with `isReading` false it takes nothing until {@link read}. */
  constructor(publisher: OvtPublisher, options: { target?: string; remote?: string; isReading?: boolean } = {}) {
    const [near, far] = duplexPair();
    far.once("close", () => setImmediate(() => near.destroy()));
    near.once("close", () => setImmediate(() => far.destroy()));
    near.on("error", () => {});
    near.on("end", () => (this.isEnded = true));
    near.on("close", () => (this.isClosed = true));
    this.connection = near;
    this.target = options.target ?? "ovt://origin:9000/app/cam";
    if (options.isReading !== false) this.read();
    publisher.accept(far, options.remote ?? "192.0.2.1");
  }

  read(): void {
    this.connection.on("data", (chunk: Buffer) => this.#chunks.push(chunk));
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#chunks);
  }

  get trace(): Trace {
    return decodeTrace(this.bytes);
  }

  write(bytes: Uint8Array): void {
    this.connection.write(bytes);
  }

  /** Sends a request and waits for the next message. */
  async ask(application: string, more: Readonly<Record<string, unknown>> = {}): Promise<Record<string, unknown>> {
    const before = this.trace.messages.length;
    this.write(requestBytes({ application, id: ++this.#id, target: this.target, ...more }));
    await until(() => this.trace.messages.length > before || this.isClosed, `an answer to ${application}`);
    return this.trace.messages[before] ?? {};
  }

  close(): void {
    this.connection.destroy();
  }
}
