import type { IncomingMessage, ServerResponse } from "node:http";
import { sendJson, sendProblem } from "./api/http-answers.ts";
import type { SigningKey } from "./cluster/ticket/signing-key.ts";
import { ticketQueryKey, verifyTicket } from "./cluster/ticket/ticket.ts";
import type { HttpGuest, ViewerTarget } from "./core/guest.ts";
import type { StreamHub } from "./core/stream-hub.ts";
import { streamKey, type StreamName } from "./core/stream-name.ts";
import { messageOf } from "./flow/errors.ts";
import type { Logger } from "./flow/logger.ts";
import { every, type Clock } from "./time/clock.ts";

/** `POST /-/warm?vhost=&app=&stream=&rt=`: a peer that drains asks us to have a stream at hand. */
export const warmPath = "/-/warm";

export interface WarmDoorOptions {
  readonly nodeId: string;
  /** Without one nobody is listened to. */
  readonly key: SigningKey | undefined;
  readonly hub: StreamHub;
  /** Ways to viewers that have to get ready; each resolves with whether it is. */
  readonly warm: readonly ((name: StreamName, signal: AbortSignal) => Promise<boolean>)[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A stream that nobody comes for is let go after this time: viewers moved by steering take some seconds. */
const heldMs = 20_000;
/** Whoever asks has stopped waiting by then. */
const answerMs = 6_000;
/** Streams held at the same time for viewers who have not come yet. */
const maxHeld = 256;

/** Holds what a peer's viewers will ask for, and says when they may come. */
export class WarmDoor implements HttpGuest {
  readonly #options: WarmDoorOptions;
  readonly #held = new Map<string, Promise<boolean>>();

  constructor(options: WarmDoorOptions) {
    this.#options = options;
  }

  handle(request: IncomingMessage, response: ServerResponse, target: ViewerTarget): boolean {
    if (target.app !== "-" || target.stream !== "warm" || target.file !== "") return false;
    request.resume();
    this.#answer(request, response, target.query).catch((thrown: unknown) => {
      this.#options.logger.error("a stream could not be made ready", { error: messageOf(thrown) });
      if (!response.headersSent) sendProblem(response, 500, "internal error");
    });
    return true;
  }

  async #answer({ method }: IncomingMessage, response: ServerResponse, query: URLSearchParams): Promise<void> {
    const { nodeId, key, clock } = this.#options;
    if (method !== "POST") {
      response.setHeader("Allow", "POST");
      return sendProblem(response, 405, "this is done by POST");
    }
    const part = (name: string): string => query.get(name) ?? "";
    const name = { vhost: part("vhost"), app: part("app"), stream: part("stream") };
    const scope = { node: nodeId, name, protocol: "warm" } as const;
    const verdict = key && (await verifyTicket(key, query.get(ticketQueryKey), scope, clock.wallMs()));
    if (!verdict?.admitted) return sendProblem(response, 401, "only a node of this cluster may ask");
    const isWarm = await this.#warm(name);
    return isWarm ? sendJson(response, { isWarm }) : sendProblem(response, 503, "the stream is not at hand");
  }

  /** One try a stream and time of holding, however many peers ask. */
  #warm(name: StreamName): Promise<boolean> {
    const key = streamKey(name);
    const known = this.#held.get(key);
    if (known) return known;
    if (this.#held.size >= maxHeld) return Promise.resolve(false);
    const warming = this.#hold(name, key);
    this.#held.set(key, warming);
    return warming;
  }

  async #hold(name: StreamName, key: string): Promise<boolean> {
    const { hub, clock, warm, logger } = this.#options;
    const abort = new AbortController();
    const deadline = clock.after(answerMs, () => abort.abort());
    try {
      const acquired = await hub.acquire(name, { protocol: "prewarm" }, abort.signal);
      if (acquired.kind !== "stream") {
        this.#held.delete(key);
        return false;
      }
      const { hold } = acquired;
      hold.viewers = 0;
      clock.after(heldMs, () => {
        this.#held.delete(key);
        hold.release();
      });
      const hasMedia = (): boolean => hold.stream.recentSamples(0).length > 0;
      const ready = await Promise.all([
        until(hasMedia, clock, abort.signal),
        ...warm.map((one) => one(name, abort.signal)),
      ]);
      const isWarm = ready.every(Boolean);
      // The next who asks may find it ready.
      if (!isWarm) this.#held.delete(key);
      logger.info("a stream is at hand for a peer's viewers", { stream: key, isWarm });
      return isWarm;
    } finally {
      deadline.cancel();
    }
  }
}

const lookMs = 50;

/** Resolves with true as soon as `isTrue`, looked at every 50 ms; with what it is then when `signal` aborts. */
export function until(isTrue: () => boolean, clock: Clock, signal: AbortSignal): Promise<boolean> {
  if (isTrue() || signal.aborted) return Promise.resolve(isTrue());
  return new Promise((resolve) => {
    const timer = every(clock, lookMs, () => {
      if (!isTrue() && !signal.aborted) return;
      timer.cancel();
      resolve(isTrue());
    });
  });
}
