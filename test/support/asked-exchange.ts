import assert from "node:assert/strict";
import type { AnswerBody, PlainExchange, ViewerTarget } from "../../media-node/core/guest.ts";

/** A viewer's request without a socket: what came of it. */
export class AskedExchange implements PlainExchange {
  readonly method = "GET";
  /** Path and query, for messages. */
  readonly url: string;
  status: number | undefined;
  headers: readonly string[] = [];
  bytes = Buffer.alloc(0);
  isGone = false;
  #onGone: (() => void)[] = [];
  readonly #answered = Promise.withResolvers<this>();

  constructor(url: string) {
    this.url = url;
  }

  get isOver(): boolean {
    return this.isGone || this.status !== undefined;
  }

  get text(): string {
    return this.bytes.toString();
  }

  /** Resolves when it was answered. */
  get answered(): Promise<this> {
    return this.#answered.promise;
  }

  header(): undefined {}

  send(status: number, headers: readonly string[], body: AnswerBody = []): void {
    assert.ok(!this.isOver, `${this.url} is answered once`);
    this.status = status;
    this.headers = headers;
    this.bytes = Buffer.concat(body as readonly Uint8Array[]);
    this.#answered.resolve(this);
  }

  onGone(listener: () => void): void {
    this.#onGone.push(listener);
  }

  /** The client goes. */
  go(): void {
    this.isGone = true;
    for (const listener of this.#onGone) listener();
  }
}

/** Asks a guest for `file?query` of `app/stream`. */
export function ask(
  guest: { serve(exchange: PlainExchange, target: ViewerTarget): boolean },
  url: string,
  remoteAddress = "192.0.2.1",
): AskedExchange {
  const asked = new AskedExchange(url);
  const [file = "", rawQuery = ""] = url.split("?", 2);
  const where = { vhost: "default", app: "app", stream: "stream", file, baseUrl: "http://edge", remoteAddress };
  assert.ok(guest.serve(asked, { ...where, rawQuery, query: new URLSearchParams(rawQuery) }), url);
  return asked;
}
