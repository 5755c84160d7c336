import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface ControlServer {
  /** The router forwards the page's buttons here. Unguessable, so that no other page can press them. */
  readonly url: string;
  close(): Promise<void>;
}

/** What the page's buttons can do to a node. */
export type NodeCommand = (verb: "stop" | "start", nodeId: string) => Promise<void>;

/** `POST {url}/{stop|start}/{nodeId}` on loopback. */
export async function listenForCommands(key: string, command: NodeCommand): Promise<ControlServer> {
  const server = createServer((request, response) => {
    const [, given, verb, nodeId] = (request.url ?? "").split("/");
    const send = (status: number, body: object): void => {
      response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
    };
    request.resume();
    if (request.method !== "POST" || given !== key || (verb !== "stop" && verb !== "start") || !nodeId) {
      return send(404, { error: "no such command" });
    }
    const run = async (): Promise<void> => command(verb, decodeURIComponent(nodeId));
    run().then(
      () => send(200, { done: `${verb} ${nodeId}` }),
      (thrown: Error) => send(409, { error: thrown.message }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/${key}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
