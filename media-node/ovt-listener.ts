import { createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { listenOn } from "./api/listen.ts";

export interface OvtListener {
  readonly port: number;
  /** Stops accepting and cuts what is still open. */
  close(): Promise<void>;
}

/** Dead edges send nothing, so the kernel asks: after 30 s, and ends the connection 10 s later. */
const keepAliveMs = 30_000;

/** Listens for edges on TCP and hands each connection to `accept`, which owns it from then on. */
export async function listenForEdges(
  port: number,
  address: string | undefined,
  accept: (connection: Duplex, remoteAddress: string) => void,
): Promise<OvtListener> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: keepAliveMs }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    accept(socket, socket.remoteAddress ?? "");
  });
  const bound = await listenOn(server, { port, host: address }, "Bind/Publishers/OVT/Port in Server.xml");
  return {
    port: bound,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
