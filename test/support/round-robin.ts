import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";

/** A load balancer that gives every request to another backend, and to the next one where a backend cannot be reached. */
export interface RoundRobin {
  readonly baseUrl: string;
  /** `{status} {path}` of every answer, in order; `cut {path}` where one ended in its middle. */
  readonly answers: string[];
  /** Requests that a dead backend left to another one. */
  readonly retries: number;
  /** Puts another in the place of the one at `index`. */
  set(index: number, backend: string): void;
  /** Adds one behind the others. */
  add(backend: string): void;
  close(): Promise<void>;
}

/** @param own answers what must not go to a backend; true when it did */
export async function startRoundRobin(
  backends: readonly string[],
  own: (path: string, response: ServerResponse) => boolean,
): Promise<RoundRobin> {
  const all = [...backends];
  const answers: string[] = [];
  let next = 0;
  let retries = 0;
  const forward = (request: IncomingMessage, response: ServerResponse, turn: number, left: number): void => {
    const upstream = httpRequest(all[turn % all.length]! + request.url, { headers: request.headers }, (answer) => {
      answers.push(`${answer.statusCode} ${request.url}`);
      answer.on("error", () => {
        answers.push(`cut ${request.url}`);
        response.destroy();
      });
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    upstream.on("error", () => {
      if (response.headersSent || response.destroyed) return;
      // As nginx does: what was not answered is asked of the next.
      if (left > 0) {
        retries++;
        forward(request, response, turn + 1, left - 1);
      } else {
        answers.push(`502 ${request.url}`);
        response.writeHead(502).end();
      }
    });
    response.on("close", () => upstream.destroy());
    upstream.end();
  };
  const server = createServer((request, response) => {
    if (!own(request.url ?? "", response)) forward(request, response, next++, all.length - 1);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("the server has no port");
  return {
    baseUrl: `http://127.0.0.1:${address.port}`,
    answers,
    get retries() {
      return retries;
    },
    set: (index, backend) => void (all[index] = backend),
    add: (backend) => void all.push(backend),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
