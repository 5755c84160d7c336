import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { isSameSecret } from "../bytes/same-secret.ts";
import { StoreUnavailable } from "../cluster/store/contract.ts";
import { messageOf, SettingError } from "../flow/errors.ts";
import { silentLogger, type Logger } from "../flow/logger.ts";
import { systemClock, type Clock } from "../time/clock.ts";
import {
  BadBridgeRequest,
  bridgeLimits,
  parseCommandBody,
  parseCommandsBody,
  toResult,
  type BridgeOutcome,
} from "./bridge/bridge-json.ts";
import { runCommands, runTransaction } from "./bridge/bridge-redis.ts";
import { listenAt } from "./listen.ts";
import { clientOpener, type RedisClient } from "./redis-client.ts";
import { RedisLink } from "./redis-link.ts";
import { accessOf } from "./redis-store.ts";

export interface BridgeOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Loopback unless told otherwise. */
  readonly host?: string;
  /** Of the Redis behind the bridge; user and password in it. */
  readonly redisUrl: string;
  /** What clients send as `Authorization: Bearer …`; not empty. */
  readonly token: string;
  /** A second token, that may only read: for routers. */
  readonly readOnlyToken?: string | undefined;
  /** Nobody may write. */
  readonly readOnly?: boolean;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Most that Redis may take for one request. */
  readonly deadlineMs?: number;
  /** Certificates (PEM) to trust for `rediss://` instead of the system's. */
  readonly ca?: string | undefined;
}

export interface Bridge {
  /** `http://host:port`, for `UPSTASH_REDIS_REST_URL`. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Upstash's REST protocol in front of a Redis of one's own, as `@upstash/redis` speaks it: `POST /`, `/pipeline` and
 * `/multi-exec`. Answers 503 while Redis is away.
 * @throws {SettingError} on a Redis URL that is none; the listen error when the port cannot be had
 */
export async function startBridge(options: BridgeOptions): Promise<Bridge> {
  const { clock = systemClock, logger = silentLogger, deadlineMs = 1_000, host = "127.0.0.1" } = options;
  if (options.token === "") throw new RangeError("the bridge needs a token");
  const access = accessOf({ url: options.redisUrl, ca: options.ca, deadlineMs });
  if (access.target.kind === "cluster") {
    throw new SettingError("the bridge stands in front of one server or its sentinels, not of a Redis Cluster");
  }
  const link = new RedisLink({ open: clientOpener(access), clock, logger, deadlineMs });
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 10_000 }, (request, response) => {
    void serve({ ...options, link, logger }, request, response);
  });
  server.maxConnections = 4_096;
  const { authority } = await listenAt(server, options.port, host).catch(async (thrown: unknown) => {
    await link.close();
    throw thrown;
  });
  let closing: Promise<void> | undefined;
  return {
    url: `http://${authority}`,
    close() {
      closing ??= closeBoth(server, link);
      return closing;
    },
  };
}

async function closeBoth(server: Server, link: RedisLink<RedisClient>): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeAllConnections();
  await Promise.all([closed, link.close()]);
}

interface BridgeDesk extends BridgeOptions {
  readonly link: RedisLink<RedisClient>;
  readonly logger: Logger;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

async function serve(desk: BridgeDesk, request: IncomingMessage, response: ServerResponse): Promise<void> {
  response.on("error", () => {});
  let answer: Answer;
  try {
    answer = await answerTo(desk, request);
  } catch (thrown) {
    answer = answerToFailure(desk, thrown);
  }
  if (response.destroyed) return;
  const json = JSON.stringify(answer.body);
  // What was not read of a request that is refused would be taken for the next one.
  const isUnread = !request.complete;
  response.writeHead(answer.status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(json),
    "cache-control": "no-store",
    ...(answer.status === 401 && { "www-authenticate": "Bearer" }),
    ...(answer.status === 405 && { allow: "POST" }),
    ...(answer.status === 503 && { "retry-after": "1" }),
    ...(isUnread && { connection: "close" }),
  });
  response.end(json);
}

async function answerTo(desk: BridgeDesk, request: IncomingMessage): Promise<Answer> {
  const permission = permissionOf(desk, request.headers.authorization);
  if (!permission) return { status: 401, body: { error: "Unauthorized" } };
  if (request.method !== "POST") return { status: 405, body: { error: "ERR only POST is served" } };
  const readOnly = permission === "read" || desk.readOnly === true;
  const isBase64 = request.headers["upstash-encoding"] === "base64";
  const asResult = (outcome: BridgeOutcome): unknown => toResult(outcome, isBase64);
  switch (request.url?.replace(/\?.*$/s, "")) {
    case "/":
    case "": {
      const [outcome] = await runCommands(desk.link, [parseCommandBody(await bodyOf(request))], readOnly);
      return { status: "error" in outcome! ? 400 : 200, body: asResult(outcome!) };
    }
    case "/pipeline": {
      const outcomes = await runCommands(desk.link, parseCommandsBody(await bodyOf(request)), readOnly);
      return { status: 200, body: outcomes.map(asResult) };
    }
    case "/multi-exec": {
      const outcomes = await runTransaction(desk.link, parseCommandsBody(await bodyOf(request)), readOnly);
      return "error" in outcomes ? { status: 400, body: outcomes } : { status: 200, body: outcomes.map(asResult) };
    }
    default:
      return { status: 404, body: { error: "ERR no such path" } };
  }
}

function answerToFailure({ logger }: BridgeDesk, thrown: unknown): Answer {
  if (thrown instanceof BadBridgeRequest) return { status: 400, body: { error: thrown.message } };
  if (thrown instanceof BodyTooLong) return { status: 413, body: { error: "ERR max request size exceeded" } };
  if (thrown instanceof StoreUnavailable) return { status: 503, body: { error: "ERR the store is not available" } };
  if (!(thrown instanceof BodyBroken)) logger.error("bridge failed a request", { error: messageOf(thrown) });
  return { status: 500, body: { error: "ERR internal error" } };
}

function permissionOf(desk: BridgeDesk, authorization: string | undefined): "all" | "read" | undefined {
  const given = /^Bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
  if (given === undefined) return undefined;
  const mayAll = isSameSecret(given, desk.token);
  const mayRead =
    desk.readOnlyToken !== undefined && desk.readOnlyToken !== "" && isSameSecret(given, desk.readOnlyToken);
  return mayAll ? "all" : mayRead ? "read" : undefined;
}

class BodyTooLong extends Error {}
class BodyBroken extends Error {}

function bodyOf(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= bridgeLimits.bodyBytes) {
        chunks.push(chunk);
      } else {
        // The rest stays where it is: the answer closes the connection.
        request.pause();
        reject(new BodyTooLong());
      }
    });
    request.on("end", () => resolve(Buffer.concat(chunks).toString()));
    const onBroken = (): void => {
      if (!request.complete) reject(new BodyBroken());
    };
    request.on("close", onBroken);
    request.on("error", onBroken);
  });
}
