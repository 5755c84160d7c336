import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";

/** A load balancer that gives every request to another backend. */
export interface RoundRobin {
  readonly baseUrl: string;
  /** Replaces backend `index`; undefined takes it out. */
  set(index: number, baseUrl: string | undefined): void;
  /** `{status} {path}` of every answer, in order. */
  readonly answers: string[];
  close(): Promise<void>;
}

/** @param own answers what must not go to a backend; true when it did */
export async function startRoundRobin(
  backends: (string | undefined)[],
  own: (path: string, response: ServerResponse) => boolean,
): Promise<RoundRobin> {
  let next = 0;
  const answers: string[] = [];
  const server = createServer((request, response) => {
    if (own(request.url ?? "", response)) return;
    const live = backends.filter((backend) => backend !== undefined);
    forward(request, response, live[next++ % live.length]!, answers);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server has no port");
  return {
    baseUrl: `http://127.0.0.1:${address.port}`,
    set: (index, baseUrl) => void (backends[index] = baseUrl),
    answers,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function forward(request: IncomingMessage, response: ServerResponse, backend: string, answers: string[]): void {
  const upstream = httpRequest(backend + request.url, { headers: request.headers }, (answer) => {
    answers.push(`${answer.statusCode} ${request.url}`);
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  upstream.on("error", () => {
    if (!response.headersSent && !response.destroyed) response.writeHead(502).end();
  });
  response.on("close", () => upstream.destroy());
  upstream.end();
}
