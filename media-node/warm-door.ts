import type { IncomingMessage, ServerResponse } from "node:http";
import { sendJson, sendProblem } from "./api/http-answers.ts";
import type { SigningKey } from "./cluster/ticket/signing-key.ts";
import { ticketQueryKey, verifyTicket } from "./cluster/ticket/ticket.ts";
import type { HttpGuest, ViewerTarget } from "./core/guest.ts";
import type { StreamHold, StreamHub } from "./core/stream-hub.ts";
import { streamKey, type StreamName } from "./core/stream-name.ts";
import { messageOf } from "./flow/errors.ts";
import type { Logger } from "./flow/logger.ts";
import { every, type Clock, type Timer } from "./time/clock.ts";

/** `POST /-/warm?vhost=&app=&stream=&rt=`: a peer that drains asks us to have a stream at hand. */
export const warmPath = "/-/warm";

export interface WarmDoorOptions {
  readonly nodeId: string;
  /** Without one nobody is listened to. */
  readonly key: SigningKey | undefined;
  readonly hub: Pick<StreamHub, "acquire">;
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

/** One that a peer asked for. */
interface HeldStream {
  hold?: StreamHold | undefined;
  /** Lets go of {@link hold}. */
  expiry?: Timer;
  /** Whether it is at hand; undefined while nobody looks for that. */
  isWarm?: Promise<boolean> | undefined;
}

/** Holds what a peer's viewers will ask for, and says when they may come. */
export class WarmDoor implements HttpGuest {
  readonly #options: WarmDoorOptions;
  readonly #held = new Map<string, HeldStream>();

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

  /** Lets go of what nobody has come for. */
  close(): void {
    for (const held of this.#held.values()) {
      held.expiry?.cancel();
      held.hold?.release();
    }
    this.#held.clear();
  }

  /** One try at a time for a stream, however many peers ask; what is at hand stays so for as long as it is held. */
  #warm(name: StreamName): Promise<boolean> {
    const key = streamKey(name);
    const known = this.#held.get(key);
    if (!known && this.#held.size >= maxHeld) return Promise.resolve(false);
    const held = known ?? {};
    this.#held.set(key, held);
    return (held.isWarm ??= this.#getReady(name, key, held));
  }

  async #getReady(name: StreamName, key: string, held: HeldStream): Promise<boolean> {
    const { clock, warm, logger } = this.#options;
    const abort = new AbortController();
    const deadline = clock.after(answerMs, () => abort.abort());
    let isWarm = false;
    try {
      held.hold ??= await this.#hold(name, key, held, abort.signal);
      if (!held.hold) return false;
      const { stream } = held.hold;
      const hasMedia = (): boolean => stream.recentSamples(0).length > 0;
      const ready = await Promise.all([
        until(hasMedia, clock, abort.signal),
        ...warm.map((one) => one(name, abort.signal)),
      ]);
      isWarm = ready.every(Boolean);
      logger.info("a stream is at hand for a peer's viewers", { stream: key, isWarm });
      return isWarm;
    } finally {
      deadline.cancel();
      // Of several ways to viewers one may have failed, and nobody looks for the others any more.
      abort.abort();
      // The next who asks may find it ready.
      if (!isWarm) held.isWarm = undefined;
      if (!held.hold) this.#held.delete(key);
    }
  }

  async #hold(name: StreamName, key: string, held: HeldStream, signal: AbortSignal): Promise<StreamHold | undefined> {
    const { hub, clock } = this.#options;
    const acquired = await hub.acquire(name, { protocol: "prewarm" }, signal);
    if (acquired.kind !== "stream") return undefined;
    const { hold } = acquired;
    if (this.#held.get(key) !== held) {
      hold.release();
      return undefined;
    }
    hold.viewers = 0;
    held.expiry = clock.after(heldMs, () => {
      this.#held.delete(key);
      hold.release();
    });
    return hold;
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
