import type { IncomingMessage, ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";

/** Public media: any page may play it, `*` also fits the `Origin: null` that follows a redirect. */
const cors = [
  "Access-Control-Allow-Origin",
  "*",
  "Access-Control-Expose-Headers",
  "Date, Age, Content-Length, Content-Range",
] as const;

export const playlistType = "application/vnd.apple.mpegurl";

/** A playlist's text with its compressed form, made once for everybody. */
export class PreparedText {
  readonly plain: Buffer;
  #gzipped: Buffer | undefined;
  /** By cache rule and coding: names and values in turn, as Node takes them without looking at each again. */
  readonly #headers = new Map<string, string[]>();

  constructor(text: string) {
    this.plain = Buffer.from(text);
  }

  get gzipped(): Buffer {
    this.#gzipped ??= gzipSync(this.plain, { level: 6 });
    return this.#gzipped;
  }

  headers(cacheControl: string, isGzipped: boolean): string[] {
    const key = `${isGzipped} ${cacheControl}`;
    let headers = this.#headers.get(key);
    if (headers) return headers;
    const { length } = isGzipped ? this.gzipped : this.plain;
    headers = [...cors, "Content-Type", playlistType, "Cache-Control", cacheControl, "Content-Length", String(length)];
    headers.push("Vary", "Accept-Encoding");
    if (isGzipped) headers.push("Content-Encoding", "gzip");
    this.#headers.set(key, headers);
    return headers;
  }
}

/** Answers without a body. */
export function replyStatus(response: ServerResponse, status: number, headers: Record<string, string> = {}): void {
  if (response.writableEnded || response.destroyed) return;
  const cacheControl = status === 404 || status === 400 ? "max-age=1" : "no-store";
  const all = { "Cache-Control": cacheControl, "Content-Length": "0", ...headers };
  response.writeHead(status, [...cors, ...Object.entries(all).flat()]);
  response.end();
}

/** Refuses with a sentence in JSON, for whoever looks. */
export function replyRefusal(response: ServerResponse, status: number, error: string): void {
  if (response.writableEnded || response.destroyed) return;
  const body = `${JSON.stringify({ error })}\n`;
  const length = String(Buffer.byteLength(body));
  const type = "application/json; charset=utf-8";
  response.writeHead(status, [...cors, "Cache-Control", "no-store", "Content-Type", type, "Content-Length", length]);
  response.end(body);
}

/** Answers a CORS preflight. */
export function replyOptions(response: ServerResponse, requestedHeaders: string | undefined): void {
  replyStatus(response, 204, {
    "Access-Control-Allow-Methods": "OPTIONS, GET, HEAD",
    "Access-Control-Allow-Headers": requestedHeaders ?? "*",
    "Access-Control-Max-Age": "600",
    "Cache-Control": "max-age=600",
  });
}

/** @returns bytes of the body */
export function replyText(
  request: IncomingMessage,
  response: ServerResponse,
  text: PreparedText,
  cacheControl: string,
): number {
  if (response.writableEnded || response.destroyed) return 0;
  const isGzipped = /\bgzip\b/.test(request.headers["accept-encoding"] ?? "");
  response.writeHead(200, text.headers(cacheControl, isGzipped));
  const body = request.method === "HEAD" ? undefined : isGzipped ? text.gzipped : text.plain;
  response.end(body);
  return body?.length ?? 0;
}

/**
 * Answers with immutable bytes, or the range of them that was asked for (RFC 9110 §14).
 * @returns bytes of the body
 */
export function replyBytes(
  request: IncomingMessage,
  response: ServerResponse,
  pieces: readonly Uint8Array[],
  contentType: string,
): number {
  if (response.writableEnded || response.destroyed) return 0;
  const size = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const range = parseRange(request.headers.range, size);
  if (range === "unsatisfiable") {
    replyStatus(response, 416, { "Content-Range": `bytes */${size}` });
    return 0;
  }
  const [start, end] = range ?? [0, size];
  const headers = [...cors, "Content-Type", contentType, "Cache-Control", "public, max-age=3600, immutable"];
  headers.push("Content-Length", String(end - start), "Accept-Ranges", "bytes");
  if (range) headers.push("Content-Range", `bytes ${start}-${end - 1}/${size}`);
  response.writeHead(range ? 206 : 200, headers);
  if (request.method === "HEAD") {
    response.end();
    return 0;
  }
  if (pieces.length === 1 && !range) response.end(pieces[0]);
  else writeSlice(response, pieces, start, end);
  return end - start;
}

function writeSlice(response: ServerResponse, pieces: readonly Uint8Array[], start: number, end: number): void {
  response.cork();
  let at = 0;
  for (const piece of pieces) {
    const from = Math.max(0, start - at);
    const to = Math.min(piece.length, end - at);
    if (from < to) response.write(from === 0 && to === piece.length ? piece : piece.subarray(from, to));
    at += piece.length;
  }
  response.end();
  response.uncork();
}

/** @returns start and end (exclusive); undefined when there is no range to honour, also for several at once */
export function parseRange(
  header: string | undefined,
  size: number,
): readonly [number, number] | "unsatisfiable" | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "");
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
