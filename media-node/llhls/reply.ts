import { gzipSync } from "node:zlib";
import type { AnswerBody, PlainExchange } from "../core/guest.ts";

/** Public media: any page may play it, `*` also fits the `Origin: null` that follows a redirect. */
const cors = [
  "Access-Control-Allow-Origin",
  "*",
  "Access-Control-Expose-Headers",
  "Date, Age, Content-Length, Content-Range",
] as const;

/** The same of answers that say when to come again. */
const corsOfStatus = [...cors.slice(0, 3), `${cors[3]}, Retry-After`];

export const playlistType = "application/vnd.apple.mpegurl";

/** A playlist's text with its compressed form, made once for everybody. */
export class PreparedText {
  readonly plain: Buffer;
  #gzipped: Buffer | undefined;
  /** By cache rule, for either coding: names and values in turn, as Node takes them without looking at each again. */
  readonly #headers = { plain: new Map<string, string[]>(), gzipped: new Map<string, string[]>() };

  constructor(text: string) {
    this.plain = Buffer.from(text);
  }

  get gzipped(): Buffer {
    this.#gzipped ??= gzipSync(this.plain, { level: 6 });
    return this.#gzipped;
  }

  headers(cacheControl: string, isGzipped: boolean): string[] {
    const made = isGzipped ? this.#headers.gzipped : this.#headers.plain;
    let headers = made.get(cacheControl);
    if (headers) return headers;
    const { length } = isGzipped ? this.gzipped : this.plain;
    headers = [...cors, "Content-Type", playlistType, ...cacheLines(cacheControl), "Content-Length", String(length)];
    headers.push("Vary", "Accept-Encoding");
    if (isGzipped) headers.push("Content-Encoding", "gzip");
    made.set(cacheControl, headers);
    return headers;
  }
}

/** Bytes that never change under their name, with the header lines that go with them. */
export class PreparedFile {
  readonly pieces: readonly Uint8Array[];
  readonly size: number;
  #headers: readonly string[] | undefined;
  readonly #contentType: string;
  readonly #cacheControl: string;

  /**
   * @param pieces shared, not copied
   * @param cacheControl `""` for none
   * @param size where the pieces are not at hand
   */
  constructor(pieces: readonly Uint8Array[], contentType: string, cacheControl: string, size?: number) {
    this.pieces = pieces;
    this.size = size ?? sizeOf(pieces);
    this.#contentType = contentType;
    this.#cacheControl = cacheControl;
  }

  /** Of an answer with the whole file; made when first asked for, for not every part is. */
  get headers(): readonly string[] {
    return (this.#headers ??= [...this.common, "Content-Length", String(this.size)]);
  }

  /** Of every answer with a part of it. */
  get common(): readonly string[] {
    return [...cors, "Content-Type", this.#contentType, ...cacheLines(this.#cacheControl), "Accept-Ranges", "bytes"];
  }

  /** The same file with its bytes at hand. */
  withPieces(pieces: readonly Uint8Array[]): PreparedFile {
    return new PreparedFile(pieces, this.#contentType, this.#cacheControl);
  }

  /** The same file, of which only the header lines are held. */
  withoutPieces(): PreparedFile {
    return new PreparedFile([], this.#contentType, this.#cacheControl, this.size);
  }
}

function sizeOf(pieces: readonly Uint8Array[]): number {
  let size = 0;
  for (const { length } of pieces) size += length;
  return size;
}

/** What is said of a file whose bytes never change. */
export const immutable = "public, max-age=3600, immutable";

/** As OvenMediaEngine's `CacheControl` elements mean seconds: 0 forbids, -1 says nothing. */
export function cacheControlOf(seconds: number | undefined, otherwise: string): string {
  if (seconds === undefined) return otherwise;
  return seconds > 0 ? `max-age=${seconds}` : seconds === 0 ? "no-cache, no-store" : "";
}

/** What of it may be said of an answer that is one viewer's: no cache gives it to another. */
export const ownCacheControl = (cacheControl: string): string =>
  cacheControl.startsWith("max-age") ? `private, ${cacheControl}` : cacheControl;

const cacheLines = (cacheControl: string): string[] => (cacheControl === "" ? [] : ["Cache-Control", cacheControl]);

/** Answers without a body. */
export function replyStatus(exchange: PlainExchange, status: number, headers: Record<string, string> = {}): void {
  const cacheControl = status === 404 || status === 400 ? "max-age=1" : "no-store";
  // A 204 says by its number that nothing follows (RFC 9110 §8.6).
  const length = status === 204 ? {} : { "Content-Length": "0" };
  const all = { "Cache-Control": cacheControl, ...length, ...headers };
  exchange.send(status, [...corsOfStatus, ...Object.entries(all).flat()]);
}

/** Refuses with a sentence in JSON, for whoever looks. */
export function replyRefusal(exchange: PlainExchange, status: number, error: string): void {
  const body = Buffer.from(`${JSON.stringify({ error })}\n`);
  const type = "application/json; charset=utf-8";
  const headers = ["Cache-Control", "no-store", "Content-Type", type, "Content-Length", String(body.length)];
  exchange.send(status, [...cors, ...headers], [body]);
}

/** Answers a CORS preflight. */
export function replyOptions(exchange: PlainExchange): void {
  replyStatus(exchange, 204, {
    "Access-Control-Allow-Methods": "OPTIONS, GET, HEAD",
    "Access-Control-Allow-Headers": exchange.header("access-control-request-headers") ?? "*",
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "600",
    "Cache-Control": "max-age=600",
  });
}

/** @returns bytes of the body */
export function replyText(exchange: PlainExchange, text: PreparedText, cacheControl: string): number {
  if (exchange.isOver) return 0;
  const isGzipped = acceptsGzip(exchange.header("accept-encoding"));
  const body = isGzipped ? text.gzipped : text.plain;
  exchange.send(200, text.headers(cacheControl, isGzipped), [body]);
  return exchange.method === "HEAD" ? 0 : body.length;
}

/** `gzip;q=0` says no (RFC 9110 §12.5.3). */
function acceptsGzip(header: string | undefined): boolean {
  return header !== undefined && /\bgzip\b(?!\s*;\s*q=0(?:\.0{1,3})?\s*(?:,|$))/i.test(header);
}

/**
 * Answers with a file, or the range of it that was asked for (RFC 9110 §14).
 * @param bodyOf its bytes from `start` to `end` (exclusive), where they are elsewhere than in `file`
 * @returns bytes of the body
 */
export function replyFile(
  exchange: PlainExchange,
  file: PreparedFile,
  bodyOf: (start: number, end: number) => AnswerBody = (start, end) =>
    start === 0 && end === file.size ? file.pieces : slice(file.pieces, start, end),
): number {
  if (exchange.isOver) return 0;
  const range = rangeOf(exchange, file);
  if (range === "unsatisfiable") {
    replyStatus(exchange, 416, { "Content-Range": `bytes */${file.size}` });
    return 0;
  }
  const isHead = exchange.method === "HEAD";
  if (!range) {
    exchange.send(200, file.headers, isHead ? [] : bodyOf(0, file.size));
    return isHead ? 0 : file.size;
  }
  const [start, end] = range;
  const headers = [...file.common, "Content-Length", String(end - start)];
  headers.push("Content-Range", `bytes ${start}-${end - 1}/${file.size}`);
  exchange.send(206, headers, isHead ? [] : bodyOf(start, end));
  return isHead ? 0 : end - start;
}

/** The part of a file that is asked for; undefined: all of it. */
export function rangeOf(
  exchange: PlainExchange,
  { size }: PreparedFile,
): readonly [number, number] | "unsatisfiable" | undefined {
  const header = exchange.header("range");
  // Nothing here has a validator, so none that a client names is ours: it gets the whole (RFC 9110 §13.1.5).
  if (header === undefined || exchange.header("if-range") !== undefined) return undefined;
  return parseRange(header, size);
}

function slice(pieces: readonly Uint8Array[], start: number, end: number): Uint8Array[] {
  let at = 0;
  return pieces.flatMap((piece) => {
    const from = Math.max(0, start - at);
    const to = Math.min(piece.length, end - at);
    at += piece.length;
    return from < to ? [piece.subarray(from, to)] : [];
  });
}

/** @returns start and end (exclusive); undefined when there is no range to honour, also for several at once */
export function parseRange(header: string, size: number): readonly [number, number] | "unsatisfiable" | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/i.exec(header);
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  const [, first, last] = match;
  if (first === "") {
    const suffix = Math.min(Number(last), size);
    return suffix > 0 ? [size - suffix, size] : "unsatisfiable";
  }
  const start = Number(first);
  const end = last === "" ? size : Math.min(Number(last) + 1, size);
  if (last !== "" && Number(last) < start) return undefined;
  return start < size ? [start, end] : "unsatisfiable";
}
