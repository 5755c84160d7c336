/** A data centre's cache as workerd speaks to it (`cacheApiOutbound`): it outlives every router. */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

export interface EdgeCacheServer {
  /** `host:port`. */
  readonly address: string;
  matches: number;
  puts: number;
  close(): Promise<void>;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** A PUT brings a whole response as text: status line, headers, and a body that may be chunked. */
function payloadOf(response: Buffer): Buffer {
  const end = response.indexOf("\r\n\r\n");
  const head = response.subarray(0, end).toString("latin1");
  let rest = response.subarray(end + 4);
  if (!/transfer-encoding: chunked/i.test(head)) return rest;
  const chunks: Buffer[] = [];
  for (;;) {
    const line = rest.indexOf("\r\n");
    const length = Number.parseInt(rest.subarray(0, line).toString("latin1"), 16);
    if (!(length > 0)) return Buffer.concat(chunks);
    chunks.push(rest.subarray(line + 2, line + 2 + length));
    rest = rest.subarray(line + 2 + length + 2);
  }
}

export async function startEdgeCacheServer(): Promise<EdgeCacheServer> {
  const kept = new Map<string, Buffer>();
  const server = createServer((request, response) => {
    void (async () => {
      const key = request.url!;
      if (request.method === "PUT") {
        held.puts++;
        kept.set(key, payloadOf(await bodyOf(request)));
        response.writeHead(204).end();
        return;
      }
      held.matches++;
      const found = kept.get(key);
      if (found) response.writeHead(200, { "CF-Cache-Status": "HIT", "Content-Type": "application/json" }).end(found);
      else response.writeHead(504, { "CF-Cache-Status": "MISS" }).end();
    })();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const held: EdgeCacheServer = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    matches: 0,
    puts: 0,
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
  return held;
}
