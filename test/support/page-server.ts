import { createServer, type ServerResponse } from "node:http";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";
import { bringPlayers, pageFolder } from "../../infra/laptop/page-files.ts";

const types: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
};

/** Serves the tests' pages, and the players beside them, from an origin of their own: every request to the cluster crosses origins. */
export async function servePages(): Promise<{ url: string } & AsyncDisposable> {
  await bringPlayers();
  const folders = [join(import.meta.dirname, "pages"), pageFolder];
  /** What has no place beside the page: the hls.js that many sites still have. */
  const oldHls = join(import.meta.dirname, "../../node_modules/hls.js-1.5/dist");
  const answer = async (path: string, response: ServerResponse): Promise<void> => {
    const isOld = path.startsWith("/hls.js-1.5/");
    for (const folder of isOld ? [oldHls] : folders) {
      const bytes = await readFile(join(folder, isOld ? path.slice("/hls.js-1.5".length) : path)).catch(
        () => undefined,
      );
      if (!bytes) continue;
      response.writeHead(200, { "Content-Type": types[extname(path)] ?? "text/plain" }).end(bytes);
      return;
    }
    response.writeHead(404).end();
  };
  const server = createServer((request, response) => {
    void answer(normalize(new URL(request.url ?? "/", "http://localhost").pathname), response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
