import { ProtocolError } from "../flow/errors.ts";

/** Header fields by lower-case name; a name may come several times (RFC 2326 §4.2). */
export type RtspHeaders = ReadonlyMap<string, readonly string[]>;

export interface RtspRequest {
  readonly method: string;
  readonly uri: string;
  readonly headers: RtspHeaders;
  readonly body: Uint8Array;
}

export interface RtspResponse {
  readonly status: number;
  readonly reason: string;
  readonly headers: RtspHeaders;
  readonly body: Uint8Array;
}

/** A message without its body. */
export type RtspHead =
  | { readonly kind: "request"; readonly method: string; readonly uri: string; readonly headers: RtspHeaders }
  | { readonly kind: "response"; readonly status: number; readonly reason: string; readonly headers: RtspHeaders };

export const maxRtspHeadBytes = 64 * 1024;
export const maxRtspBodyBytes = 128 * 1024;
const maxHeaders = 256;
/** What is folded on after that is left out: joining must stay linear. */
const maxFoldedLength = 4 * 1024;

/** First value of a header; `name` in lower case. */
export function headerOf(message: { readonly headers: RtspHeaders }, name: string): string | undefined {
  return message.headers.get(name)?.[0];
}

/** All values of a header; `name` in lower case. */
export function headersOf(message: { readonly headers: RtspHeaders }, name: string): readonly string[] {
  return message.headers.get(name) ?? [];
}

/**
 * Parses a start line and headers, up to but without the empty line. Lenient where peers are sloppy: bare LF, folded
 * lines, RTSP/2.0, no reason phrase, blanks before the colon, lines without a colon.
 * @throws {ProtocolError} when the first line is neither a request nor a response
 */
export function parseRtspHead(text: string): RtspHead {
  const [startLine = "", ...lines] = text.split(/\r\n|\n|\r/);
  const headers = parseHeaders(lines);
  const response = /^RTSP\/\d+\.\d+\s+(\d{3})(?:\s+(.*))?$/i.exec(startLine.trim());
  if (response) return { kind: "response", status: Number(response[1]), reason: response[2] ?? "", headers };
  const request = /^([A-Z_]{1,32})\s+(\S+)\s+RTSP\/\d+\.\d+$/.exec(startLine.trim());
  if (request) return { kind: "request", method: request[1]!, uri: request[2]!, headers };
  throw new ProtocolError("RTSP_START_LINE", `unreadable first line: ${JSON.stringify(startLine.slice(0, 80))}`);
}

function parseHeaders(lines: readonly string[]): RtspHeaders {
  const headers = new Map<string, string[]>();
  let last: string[] | undefined;
  let count = 0;
  for (const line of lines) {
    if (/^[ \t]/.test(line)) {
      // RFC 2326 takes folding over from HTTP/1.1: a line that begins with a blank continues the one before.
      if (last && last.at(-1)!.length < maxFoldedLength) last[last.length - 1] = `${last.at(-1)} ${line.trim()}`;
      continue;
    }
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    if (++count > maxHeaders) throw new ProtocolError("RTSP_TOO_MANY_HEADERS", `more than ${maxHeaders} headers`);
    const name = line.slice(0, colon).trim().toLowerCase();
    last = headers.get(name);
    if (!last) headers.set(name, (last = []));
    last.push(line.slice(colon + 1).trim());
  }
  return headers;
}

/**
 * The body's length as the headers announce it; 0 without the header.
 * @throws {ProtocolError} when it is no number or larger than any real body
 */
export function bodyLengthOf(head: RtspHead): number {
  const text = headerOf(head, "content-length");
  if (text === undefined) return 0;
  if (!/^\d{1,9}$/.test(text)) throw new ProtocolError("RTSP_CONTENT_LENGTH", "unreadable Content-Length");
  const length = Number(text);
  if (length > maxRtspBodyBytes) throw new ProtocolError("RTSP_BODY_TOO_LARGE", `a body of ${length} bytes`);
  return length;
}

/** Header lines in the order given, CRLF, and a Content-Length when there is a body. */
export function serializeRtspRequest(
  method: string,
  uri: string,
  headers: readonly (readonly [string, string])[],
  body = "",
): Uint8Array {
  return serialize(`${method} ${uri} RTSP/1.0`, headers, body);
}

export function serializeRtspResponse(
  status: number,
  reason: string,
  headers: readonly (readonly [string, string])[],
  body = "",
): Uint8Array {
  return serialize(`RTSP/1.0 ${status} ${reason}`, headers, body);
}

function serialize(startLine: string, headers: readonly (readonly [string, string])[], body: string): Uint8Array {
  const encoded = new TextEncoder().encode(body);
  const lines = [startLine, ...headers.map(([name, value]) => `${name}: ${value.replace(/[\r\n]+/g, " ")}`)];
  if (encoded.length > 0) lines.push(`Content-Length: ${encoded.length}`);
  const head = new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`);
  const bytes = new Uint8Array(head.length + encoded.length);
  bytes.set(head);
  bytes.set(encoded, head.length);
  return bytes;
}
