import type { Hono } from "hono";
import type { RouterTypes } from "../desk.ts";
import type { RouterEnv } from "../env.ts";
import type { SocketMaker } from "../routes/managed-signalling.ts";
import { PlayerEnd, type KeptPlayer, type PlayerSocket } from "./player-end.ts";

/** What the object is given beside its environment: the runtime's parts of it, and the router it belongs to. */
export interface PlayerSignallingParts {
  /** The same router as the Worker's: it decides where the player goes next. */
  readonly router: (env: RouterEnv) => Promise<Pick<Hono<RouterTypes>, "fetch">>;
  /** Takes the player's upgrade in such a way that its messages come to {@link PlayerSignallingObject.webSocketMessage}. */
  readonly accept: () => { readonly answer: Response; readonly socket: PlayerSocket };
  readonly dial: SocketMaker["dial"];
  /** Finishes work after the answer. */
  readonly context: Pick<ExecutionContextLike, "waitUntil" | "passThroughOnException">;
}

interface ExecutionContextLike {
  waitUntil(work: Promise<unknown>): void;
  passThroughOnException(): void;
  readonly props: unknown;
}

/**
 * One player's signalling as a Durable Object: it owns the relay, its timers and the socket to the node, whatever becomes of
 * the Worker's request that made it. The player's socket is the platform's: it outlives the object's memory, with what is
 * needed to go on written on it.
 */
export class PlayerSignallingObject {
  readonly #env: RouterEnv;
  readonly #parts: PlayerSignallingParts;
  #player: PlayerEnd | undefined;
  #restoring: Promise<PlayerEnd | undefined> | undefined;

  constructor(env: RouterEnv, parts: PlayerSignallingParts) {
    this.#env = env;
    this.#parts = parts;
  }

  /** The player's upgrade, as the Worker got it, with the node that the Worker chose. */
  fetch(request: Request): Promise<Response> {
    return this.#relay(request, () => {
      const { answer, socket } = this.#parts.accept();
      return { answer, socket: (this.#player = new PlayerEnd(socket, keepOf(request))) };
    });
  }

  async webSocketMessage(socket: PlayerSocket, data: unknown): Promise<void> {
    if (this.#player) return this.#player.receive(data);
    // The object was put out of memory, and the socket to the node with it: the player has to be given another.
    this.#restoring ??= this.#restore(socket).finally(() => (this.#restoring = undefined));
    const player = await this.#restoring;
    if (!player) return socket.close(1013, "no node");
    player.takeUp(data);
  }

  webSocketClose(socket: PlayerSocket, code: number, reason: string): void {
    this.#player?.end(code, reason);
    this.#player = undefined;
    // The platform answers the player's close where it is asked to.
    if (code !== 1005 && code !== 1006) socket.close(code, reason);
    else socket.close(1000);
  }

  webSocketError(socket: PlayerSocket): void {
    this.webSocketClose(socket, 1006, "");
  }

  async #restore(socket: PlayerSocket): Promise<PlayerEnd | undefined> {
    const kept = PlayerEnd.keptOn(socket);
    if (!kept) return undefined;
    const request = new Request(kept.url, { headers: { ...kept.headers, Upgrade: "websocket" }, ...placed(kept) });
    await this.#relay(request, () => {
      const answer = new Response(null, { status: 204 });
      return { answer, socket: (this.#player = new PlayerEnd(socket, kept)) };
    });
    return this.#player;
  }

  async #relay(request: Request, accept: SocketMaker["accept"]): Promise<Response> {
    const router = await this.#parts.router(this.#env);
    const playerSockets = { accept, dial: this.#parts.dial };
    const context = { ...this.#parts.context, props: {} };
    return router.fetch(request, { ...this.#env, playerSockets }, context);
  }
}

/** Headers on which a decision depends. */
const keptHeaders = ["traceparent", "CF-Connecting-IP"];
const keptPlace = ["continent", "country", "colo"];

function keepOf(request: Request): KeptPlayer {
  const headers = keptHeaders.flatMap((name) => {
    const value = request.headers.get(name);
    return value === null ? [] : [[name, value] as const];
  });
  const cf: unknown = "cf" in request ? request.cf : undefined;
  const place = typeof cf === "object" && cf !== null ? keptPlace.map((name) => [name, Reflect.get(cf, name)]) : [];
  return { url: request.url, headers: Object.fromEntries(headers), place: Object.fromEntries(place) };
}

const placed = ({ place }: KeptPlayer): object => ({ cf: place });
