import { createServer, type Socket } from "node:net";
import { messageOf, ProtocolError } from "../flow/errors.ts";
import { silentLogger, type Logger } from "../flow/logger.ts";
import { every, systemClock, type Clock } from "../time/clock.ts";
import { EmbeddedSession } from "./embedded/embedded-session.ts";
import { Keyspace } from "./embedded/keyspace.ts";
import { listenAt } from "./listen.ts";
import { RespRequestReader } from "./resp/resp-request-reader.ts";
import { serializeRespValue } from "./resp/resp-value.ts";

export interface EmbeddedRedisOptions {
  /** 0 (the default) takes a free one. */
  readonly port?: number;
  /** Loopback unless told otherwise. */
  readonly host?: string;
  readonly password?: string | undefined;
  readonly clock?: Clock;
  readonly logger?: Logger;
  /** Keys at most; a write of a further one is refused. */
  readonly maxKeys?: number;
  readonly maxConnections?: number;
}

export interface EmbeddedRedis {
  /** `redis://host:port`, without the password. */
  readonly url: string;
  readonly port: number;
  /** Ends every connection and forgets everything. */
  close(): Promise<void>;
}

const limits = { maxArguments: 1_024, maxArgumentBytes: 131_072, maxCommandBytes: 1_048_576 };
/** Unread replies of one client; it is cut off past that. A snapshot is 8 MiB at most. */
const maxBacklogBytes = 33_554_432;
const sweepMs = 10_000;

/**
 * A store for one machine, for those who have no Redis: speaks RESP2 over TCP, so that nodes, the bridge and
 * OvenMediaEngine use it like one. Keeps everything in memory; runs Hearth's own scripts and no others.
 * @throws when the port cannot be had
 */
export async function startEmbeddedRedis(options: EmbeddedRedisOptions = {}): Promise<EmbeddedRedis> {
  const { port = 0, host = "127.0.0.1", clock = systemClock, logger = silentLogger, password } = options;
  const keyspace = new Keyspace(clock, options.maxKeys ?? 100_000);
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    serve(socket, new EmbeddedSession(keyspace, password), logger);
  });
  server.maxConnections = options.maxConnections ?? 1_024;
  const bound = await listenAt(server, port, host);
  const sweeper = every(clock, sweepMs, () => keyspace.forgetExpired());
  let closing: Promise<void> | undefined;
  return {
    url: `redis://${bound.authority}`,
    port: bound.port,
    close() {
      closing ??= new Promise((resolve) => {
        sweeper.cancel();
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
        keyspace.clear();
      });
      return closing;
    },
  };
}

function serve(socket: Socket, session: EmbeddedSession, logger: Logger): void {
  const reader = new RespRequestReader(limits);
  socket.on("error", () => socket.destroy());
  socket.on("data", (bytes) => {
    try {
      answer(socket, session, reader.push(bytes));
    } catch (thrown) {
      if (thrown instanceof ProtocolError) {
        socket.end(serializeRespValue({ error: `ERR Protocol error: ${thrown.message}` }), "latin1");
      } else {
        logger.error("embedded store failed a client", { error: messageOf(thrown) });
        socket.destroy();
      }
    }
  });
}

function answer(socket: Socket, session: EmbeddedSession, commands: readonly string[][]): void {
  let replies = "";
  for (const command of commands) {
    if (session.isOver) break;
    replies += serializeRespValue(session.answer(command));
    if (socket.writableLength + replies.length <= maxBacklogBytes) continue;
    socket.destroy();
    return;
  }
  if (replies !== "") socket.write(replies, "latin1");
  if (session.isOver) socket.end();
}
