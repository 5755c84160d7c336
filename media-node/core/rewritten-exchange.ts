import type { AnswerBody, PlainExchange } from "./guest.ts";

/** An exchange whose answer says something else in its headers than it was given. */
export class RewrittenExchange implements PlainExchange {
  readonly #exchange: PlainExchange;
  readonly #rewrite: (headers: readonly string[]) => readonly string[];

  /** @param rewrite best gives the same array for the same headers: see {@link PlainExchange.send} */
  constructor(exchange: PlainExchange, rewrite: (headers: readonly string[]) => readonly string[]) {
    this.#exchange = exchange;
    this.#rewrite = rewrite;
  }

  get method(): string {
    return this.#exchange.method;
  }

  get isOver(): boolean {
    return this.#exchange.isOver;
  }

  header(name: string): string | undefined {
    return this.#exchange.header(name);
  }

  send(status: number, headers: readonly string[], body?: AnswerBody): void {
    this.#exchange.send(status, this.#rewrite(headers), body);
  }

  onGone(listener: () => void): void {
    this.#exchange.onGone(listener);
  }
}
