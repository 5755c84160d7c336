// Stand-ins for OvenMediaEngine's nodes in a cluster that is being moved: they speak OVT over TCP without a word of ours, and
// treat the store as the real ones were seen to.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { duplexPair } from "node:stream";
import { StreamHub } from "../../media-node/core/stream-hub.ts";
import { openLoopSource } from "../../media-node/file/loop-source.ts";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { OvtPublisher } from "../../media-node/ovt/ovt-publisher.ts";
import { every, systemClock } from "../../media-node/time/clock.ts";
import { OmePeer } from "./ome-peer.ts";
import { decodeTrace } from "./ovt-fixtures.ts";
import { patientPlan } from "./ovt-kit.ts";
import { requestBytes } from "./scripted-edge.ts";

/** Runs one command in the store that all of them share. */
export type AskStore = (...command: readonly string[]) => Promise<unknown>;

/** What an OvenMediaEngine node reads of a request: whatever else a Hearth edge says is lost on it. */
function plainRequests(chunk: Uint8Array): Buffer {
  const { messages, rest } = decodeTrace(chunk);
  assert.equal(rest, 0, "edges send a request in one piece");
  return Buffer.concat(messages.map(({ id, application, target }) => requestBytes({ id, application, target })));
}

/** What an OvenMediaEngine origin says of a stream: an edge does not know this key, and so nothing of what stands under it. */
function plainResponses(chunk: Buffer): Buffer {
  const at = chunk.indexOf('"x_hearth"');
  if (at < 0) return chunk;
  const plain = Buffer.from(chunk);
  plain.write('"no_oneof"', at);
  return plain;
}

/** An origin with a stream of its own, which it registers under `key`. */
export class OmeOrigin {
  readonly url: string;
  readonly #close: () => Promise<void>;
  readonly #peer: OmePeer;
  readonly #key: string;

  private constructor(url: string, key: string, ask: AskStore, close: () => Promise<void>) {
    this.url = url;
    this.#key = key;
    this.#peer = new OmePeer(ask);
    const timer = every(systemClock, 2_500, () => void this.#peer.refresh());
    this.#close = async () => {
      timer.cancel();
      await close();
    };
  }

  /** @param clip a file that is played over and over */
  static async start(key: string, clip: string, ask: AskStore): Promise<OmeOrigin> {
    const hub = new StreamHub({
      clock: systemClock,
      logger: silentLogger,
      nodeId: "ome",
      openers: new Map([
        [
          "file",
          openLoopSource({ clock: systemClock, readFile: async (path) => new Uint8Array(await readFile(path)) }),
        ],
      ]),
      plan: async () => ({ ...patientPlan, urls: [clip] }),
    });
    const publisher = new OvtPublisher({
      hub,
      resolveVhost: () => "default",
      clock: systemClock,
      logger: silentLogger,
      nodeId: "ome",
      serverId: "8fbe0ac9-6a3c-4c8d-a5a8-0d4c2b7c6d0e",
    });
    const server = createServer({ noDelay: true }, (socket) => {
      const [near, far] = duplexPair();
      publisher.accept(far, "127.0.0.1");
      socket.on("data", (chunk: Buffer) => near.write(plainRequests(chunk)));
      socket.on("error", () => {});
      socket.on("close", () => near.destroy());
      near.on("close", () => setImmediate(() => far.destroy()));
      near.on("data", (chunk: Buffer) => socket.write(plainResponses(chunk)));
      near.on("end", () => socket.end());
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const [app = "", stream = ""] = key.split("/");
    await hub.acquire({ vhost: "default", app, stream }, { protocol: "prewarm" });
    const { port } = server.address() as AddressInfo;
    const origin = new OmeOrigin(`ovt://127.0.0.1:${port}/${key}`, key, ask, async () => {
      await publisher.close();
      server.close();
      await hub.close({ code: "shutdown" });
    });
    await origin.#peer.register(key, origin.url);
    return origin;
  }

  /** Takes its key away without looking, and hangs up. */
  async stop(): Promise<void> {
    await this.#peer.unregister(this.#key);
    await this.#close();
  }
}

/** An edge with one viewer: reads the plain key, and looks anew when its origin has gone. */
export class OmeEdge {
  /** Packets of media that came so far. */
  media = 0;
  /** Where it pulls now. */
  url = "";
  readonly #key: string;
  readonly #ask: AskStore;
  #socket: Socket | undefined;
  #isClosed = false;
  readonly #running: Promise<void>;

  constructor(key: string, ask: AskStore) {
    this.#key = key;
    this.#ask = ask;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#socket?.destroy();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      const url = await this.#ask("GET", this.#key);
      this.url = typeof url === "string" ? url : "";
      if (this.url !== "") await this.#pull(this.url);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  async #pull(target: string): Promise<void> {
    const { hostname, port } = new URL(target);
    const socket = connect({ host: hostname, port: Number(port), noDelay: true });
    this.#socket = socket;
    socket.on("error", () => {});
    const gone = new Promise((resolve) => socket.once("close", resolve));
    socket.on("end", () => socket.end());
    let answers = 0;
    socket.on("data", (chunk: Buffer) => {
      // Answers come before media; the second one is that of play.
      if (answers === 2) this.media++;
      else if (chunk.includes('"code":200') && ++answers === 1)
        socket.write(requestBytes({ id: 2, application: "play", target }));
    });
    socket.write(requestBytes({ id: 1, application: "describe", target }));
    await gone;
  }
}
