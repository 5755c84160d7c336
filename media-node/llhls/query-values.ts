import type { ViewerTarget } from "../core/guest.ts";

/** The values of a query, each looked for when it is wanted: what `URLSearchParams` says of the first of that name. */
export type QueryValues = Pick<URLSearchParams, "get">;

/** Of a request: read where it stands, unless it is written in a way that only a parser of URLs gets right. */
export function queryValuesOf(target: Pick<ViewerTarget, "rawQuery" | "query">): QueryValues {
  return /[%+]|^\?/.test(target.rawQuery) ? target.query : new PlainQuery(target.rawQuery);
}

/** `a=1&b=2`, nothing in it escaped. */
class PlainQuery implements QueryValues {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  get(key: string): string | null {
    const text = this.#text;
    for (let at = 0; at < text.length;) {
      const next = text.indexOf("&", at);
      const end = next < 0 ? text.length : next;
      if (text.startsWith(key, at)) {
        const valueAt = at + key.length;
        if (valueAt === end) return "";
        if (text[valueAt] === "=") return text.slice(valueAt + 1, end);
      }
      at = end + 1;
    }
    return null;
  }
}
