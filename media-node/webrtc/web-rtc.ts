import { randomBytes } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer, type WebSocket } from "ws";
import { traceHeader } from "../cluster/trace/trace-id.ts";
import type { Admitted, AdmitViewer, HttpGuest, ViewerTarget } from "../core/guest.ts";
import type { StreamHub } from "../core/stream-hub.ts";
import type { CloseReason } from "../flow/close-group.ts";
import { messageOf } from "../flow/errors.ts";
import type { Logger } from "../flow/logger.ts";
import type { Clock } from "../time/clock.ts";
import { defaultWebRtcConfig, type WebRtcConfig } from "./config.ts";
import { Departure } from "./departure.ts";
import { JoinQueue } from "./join-queue.ts";
import type { MediaPort } from "./media-port.ts";
import type { RandomBytes } from "./random.ts";
import { SessionTable, type DoorOptions, type ViewerTimes } from "./session-table.ts";
import { SignallingSocket } from "./signalling-socket.ts";
import type { StreamStats } from "./stream-counters.ts";
import { Whep } from "./whep.ts";
import type { WorkerPool } from "./workers/worker-pool.ts";

export interface WebRtcOptions {
  readonly hub: Pick<StreamHub, "acquire">;
  /** Opened by the caller, who closes it after this guest; undefined where `workers` take every viewer. */
  readonly port: MediaPort | undefined;
  readonly admit: AdmitViewer;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly config?: Partial<WebRtcConfig>;
  readonly random?: RandomBytes;
  /** Threads that take viewers beside this one; closed by the caller. */
  readonly workers?: WorkerPool | undefined;
  /** Shared by the guests of one thread; default its own. */
  readonly joins?: JoinQueue;
  /** Where waiting times are kept. */
  readonly times?: ViewerTimes;
}

/** Figures for `/metrics`. */
export interface WebRtcStats {
  /** Sessions now, whether connected or still negotiating. */
  readonly sessions: number;
  readonly opened: number;
  /** Sessions that ended, by reason code. */
  readonly ended: Readonly<Record<string, number>>;
  readonly sockets: number;
  /** By `vhost/app/stream`, only streams that have sessions now. */
  readonly streams: Readonly<Record<string, StreamStats>>;
}

/** WebRTC delivery, ready to be mounted. */
export interface WebRtcGuest extends HttpGuest {
  /**
   * Takes nobody new: OvenPlayers are told to ask again, through the router; WHEP sessions are ended.
   * @param withinMs one after the other, the last by then; 0 = all now
   */
  drain(withinMs: number): void;
  /** Ends every session and socket. */
  close(reason: CloseReason): Promise<void>;
  readonly stats: WebRtcStats;
}

/** Serves WHEP and OvenMediaEngine's signalling for the hub's streams, and sends their media through `port`. */
export function createWebRtc(options: WebRtcOptions): WebRtcGuest {
  const room: DoorOptions = {
    hub: options.hub,
    port: options.port,
    admit: options.admit,
    clock: options.clock,
    logger: options.logger,
    random: options.random ?? randomBytes,
    config: { ...defaultWebRtcConfig, ...options.config },
    times: options.times,
    joins: options.joins ?? new JoinQueue(options.clock),
    defer: setImmediate,
    workers: options.workers,
  };
  const table = new SessionTable(room);
  const whep = new Whep(table, room);
  const door = new SignallingDoor(table, room);
  const departure = new Departure(room.clock);
  return {
    handle: (request, response, target) => whep.handle(request, response, target),
    upgrade: (request, socket, head, target) => door.upgrade(request, socket, head, target),
    drain(withinMs) {
      table.drain();
      const count = door.size + Math.max(0, table.size - door.size);
      departure.begin(leaversOf(door, table), count, withinMs);
    },
    close(reason) {
      departure.cancel();
      door.close(reason);
      table.close(reason);
      whep.close();
      return Promise.resolve();
    },
    get stats() {
      return { sessions: table.size, ...table.stats, sockets: door.size, streams: table.streams };
    },
  };
}

/** Sockets stay open: players ask again on them, and a proxy in between asks another node. Then who has none. */
function* leaversOf(door: SignallingDoor, table: SessionTable): Generator<() => void, undefined> {
  const reason: CloseReason = { code: "drain" };
  for (const socket of door.sockets) yield () => socket.stop(reason);
  for (const session of table.sessions) yield () => session.close(reason);
}

const socketOptions = {
  noServer: true,
  clientTracking: false,
  maxPayload: 64 * 1024,
  maxFragments: 64,
  // No compression: its memory per socket is many times that of these few messages.
  perMessageDeflate: false,
  // A player that is gone does not answer the end of its socket, whose memory stays for so long: milliseconds.
  closeTimeout: 3_000,
};

/** WebSocket upgrades, admitted before the handshake so that a refusal is an HTTP answer. */
class SignallingDoor {
  readonly #table: SessionTable;
  readonly #room: DoorOptions;
  readonly #sockets = new Set<SignallingSocket>();
  readonly #server = new WebSocketServer(socketOptions);
  /** What the handshake is answered with. */
  readonly #traces = new WeakMap<IncomingMessage, string>();
  #isClosed = false;

  constructor(table: SessionTable, room: DoorOptions) {
    this.#table = table;
    this.#room = room;
    this.#server.on("headers", (headers, request) => {
      const trace = this.#traces.get(request);
      if (trace !== undefined) headers.push(`${traceHeader}: ${trace}`);
    });
  }

  get size(): number {
    return this.#sockets.size;
  }

  /** Every WebSocket of the node is signalling, but those that want to send media. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, target: ViewerTarget): boolean {
    if (target.query.get("direction")?.toLowerCase() === "send") return false;
    this.#admit(request, socket, head, target).catch((thrown: unknown) => {
      this.#room.logger.error("upgrade failed", { error: messageOf(thrown) });
      socket.destroy();
    });
    return true;
  }

  async #admit(request: IncomingMessage, socket: Duplex, head: Buffer, target: ViewerTarget): Promise<void> {
    const admission = await this.#room.admit(target, "webrtc");
    const { trace } = target;
    if (!admission.isAdmitted) return refuse(socket, admission.status, admission.reason, trace);
    // The handshake may fail or be given up at any time.
    if (admission.onEnd) socket.once("close", admission.onEnd);
    if (socket.destroyed) return admission.onEnd?.();
    if (this.#isClosed) return refuse(socket, 503, "this node takes no new viewers", trace);
    if (trace !== undefined) this.#traces.set(request, trace);
    this.#server.handleUpgrade(request, socket, head, (webSocket) => this.#open(webSocket, target, admission));
  }

  #open(webSocket: WebSocket, target: ViewerTarget, admission: Admitted): void {
    const signalling: SignallingSocket = new SignallingSocket(
      webSocket,
      target,
      admission,
      this.#table,
      this.#room,
      () => this.#sockets.delete(signalling),
    );
    this.#sockets.add(signalling);
  }

  /** Those that are open now. */
  get sockets(): readonly SignallingSocket[] {
    return [...this.#sockets];
  }

  close(reason: CloseReason): void {
    this.#isClosed = true;
    for (const socket of this.#sockets) socket.close(reason);
  }
}

const reasonPhrases = { 401: "Unauthorized", 403: "Forbidden", 503: "Service Unavailable" } as const;

function refuse(socket: Duplex, status: 401 | 403 | 503, reason: string, trace: string | undefined): void {
  const body = Buffer.from(reason, "utf8");
  socket.end(
    `HTTP/1.1 ${status} ${reasonPhrases[status]}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n` +
      `Access-Control-Allow-Origin: *\r\n${trace === undefined ? "" : `${traceHeader}: ${trace}\r\n`}` +
      `Content-Length: ${body.length}\r\n\r\n${reason}`,
  );
}
