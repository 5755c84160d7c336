import type { Server } from "node:net";

/**
 * Begins to listen; errors afterwards are of connections that could not be accepted.
 * @param port 0 = any that is free
 * @returns the port, and both as a URL has them
 * @throws the listen error
 */
export function listenAt(
  server: Server,
  port: number,
  host: string,
): Promise<{ readonly port: number; readonly authority: string }> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      server.on("error", () => {});
      const address = server.address();
      if (address === null || typeof address === "string") return reject(new Error("a TCP server has an address"));
      const name = host.includes(":") ? `[${host}]` : host;
      resolve({ port: address.port, authority: `${name}:${address.port}` });
    });
  });
}
