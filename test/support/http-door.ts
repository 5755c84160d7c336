import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { HttpGuest, ViewerTarget } from "../../media-node/core/guest.ts";

/** A stand-in for the node's HTTP server: splits paths, hands requests to one guest. */
export class HttpDoor {
  readonly #server: Server;
  readonly #guest: HttpGuest;

  constructor(guest: HttpGuest) {
    this.#guest = guest;
    this.#server = createServer((request, response) => {
      const target = this.#targetOf(request);
      if (target && this.#guest.handle?.(request, response, target)) return;
      response.writeHead(404).end();
    });
    this.#server.on("upgrade", (request, socket, head) => {
      const target = this.#targetOf(request);
      if (!target || !this.#guest.upgrade?.(request, socket, head, target)) socket.destroy();
    });
  }

  /** Listens on a free loopback port. @returns `http://127.0.0.1:port` */
  async open(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this.baseUrl;
  }

  get baseUrl(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the door is not open");
    return `http://127.0.0.1:${address.port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  #targetOf(request: IncomingMessage): ViewerTarget | undefined {
    const [path = "", rawQuery = ""] = (request.url ?? "").split("?", 2);
    const [, app = "", stream = "", file = "", more] = path.split("/");
    if (!app || more !== undefined) return undefined;
    const query = new URLSearchParams(rawQuery);
    const remoteAddress = request.socket.remoteAddress ?? "";
    return { vhost: "default", app, stream, file, rawQuery, query, baseUrl: this.baseUrl, remoteAddress };
  }
}
