import { traceHeader } from "../cluster/trace/trace-id.ts";
import type { AnswerBody, PlainExchange } from "../core/guest.ts";

const exposed = "Access-Control-Expose-Headers";

/** An exchange whose answer says the request's trace id, and lets pages read it; unless a cache may give it to others. */
export class TracedExchange implements PlainExchange {
  readonly #exchange: PlainExchange;
  readonly #trace: string;

  constructor(exchange: PlainExchange, trace: string) {
    this.#exchange = exchange;
    this.#trace = trace;
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
    if (headers.some((text, at) => headers[at - 1] === "Cache-Control" && text.includes("max-age="))) {
      this.#exchange.send(status, headers, body);
      return;
    }
    // One line and not two: HTTP/2 knows each name once.
    const own = headers.map((text, at) => (headers[at - 1] === exposed ? `${text}, ${traceHeader}` : text));
    this.#exchange.send(status, [...own, traceHeader, this.#trace], body);
  }

  onGone(listener: () => void): void {
    this.#exchange.onGone(listener);
  }
}
