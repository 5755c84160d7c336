/** What the lines below the first one say: of most clients the same in every request of a connection. */
export interface HeadFields {
  /** Names in lower case; the last of several values. */
  readonly headers: ReadonlyMap<string, string>;
  readonly host: string;
  /** Whether the connection stays open after the answer. */
  readonly keepsAlive: boolean;
  /** As they came, with the empty line that ends them; a copy. */
  readonly bytes: Buffer;
}

/** A request that needs nothing but an answer: no body, no upgrade, nothing unusual. */
export interface RequestHead {
  readonly method: "GET" | "HEAD";
  /** Origin form: begins with `/`. */
  readonly url: string;
  readonly fields: HeadFields;
  /** Bytes of the head, the empty line that ends it included. */
  readonly size: number;
}

interface RequestLine {
  readonly method: "GET" | "HEAD";
  readonly url: string;
  /** Where the next line begins. */
  readonly end: number;
}

/** A token (RFC 9110 §5.6.2): no folding, no blank before the colon. */
const fieldName = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/**
 * Visible characters, blanks and tabs (RFC 9110 §5.5). Not in one expression with the blanks before it: a long run of them would
 * be tried at every length.
 */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/;
/** With any of these a request is more than a question. */
const unusual = new Set([
  "content-length",
  "transfer-encoding",
  "upgrade",
  "expect",
  "te",
  "trailer",
  "http2-settings",
]);
const maxHeaders = 100;
const get = Buffer.from("GET /");
const head = Buffer.from("HEAD /");
const versionAndLineEnd = Buffer.from(" HTTP/1.1\r\n");
const [blank, del] = [0x20, 0x7f];

/**
 * Reads the head of an HTTP/1.1 request, strictly and only in its plainest form (RFC 9112 §3).
 * @param size of the head, with the empty line that ends it
 * @returns undefined for everything else: Node's own parser then decides, from the first byte on
 */
export function parseRequestHead(bytes: Buffer, size: number): RequestHead | undefined {
  const line = parseRequestLine(bytes);
  if (!line || line.end > size - 4) return undefined;
  const fields = fieldsOf(bytes, line.end, size);
  return fields && { method: line.method, url: line.url, fields, size };
}

/** Players of one kind say the same on all their connections. */
const known = new Map<string, HeadFields>();
const maxKnown = 500;
const maxKnownLength = 2_048;

/** One object for all who say the same: what every request looks into stays at hand for the processor. */
function fieldsOf(bytes: Buffer, start: number, end: number): HeadFields | undefined {
  const text = bytes.toString("latin1", start, end - 4);
  const before = known.get(text);
  if (before) return before;
  const parsed = parseFields(text);
  if (!parsed) return undefined;
  const { headers, host, keepsAlive } = parsed;
  const fields = { headers, host, keepsAlive, bytes: Buffer.from(bytes.subarray(start, end)) };
  if (known.size >= maxKnown) known.clear();
  if (text.length <= maxKnownLength) known.set(text, fields);
  return fields;
}

/**
 * The same for a request that says what the one before it on the connection said, but for its first line: nothing is
 * looked for, and nothing read twice.
 * @param length of what came, at the beginning of `bytes`
 * @returns undefined where that is not so, or not yet
 */
export function repeatRequestHead(bytes: Buffer, fields: HeadFields, length = bytes.length): RequestHead | undefined {
  const line = parseRequestLine(bytes);
  if (!line) return undefined;
  const { method, url, end } = line;
  const size = end + fields.bytes.length;
  const isSame = size <= length && fields.bytes.compare(bytes, end, size) === 0;
  return isSame ? { method, url, fields, size } : undefined;
}

/** Byte by byte: a URL has visible characters of ASCII, and one blank ends it. */
function parseRequestLine(bytes: Buffer): RequestLine | undefined {
  const isGet = isAt(bytes, 0, get);
  if (!isGet && !isAt(bytes, 0, head)) return undefined;
  const at = (isGet ? get : head).length - 1;
  let end = at;
  while (bytes[end]! > blank && bytes[end]! < del) end++;
  if (!isAt(bytes, end, versionAndLineEnd)) return undefined;
  const url = bytes.toString("latin1", at, end);
  return { method: isGet ? "GET" : "HEAD", url, end: end + versionAndLineEnd.length };
}

/** A call into the engine's own comparison costs more than so few steps. */
function isAt(bytes: Buffer, at: number, wanted: Buffer): boolean {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

function parseFields(text: string): Omit<HeadFields, "bytes"> | undefined {
  const lines = text.split("\r\n");
  if (lines.length >= maxHeaders) return undefined;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon)).toLowerCase();
    const value = line.slice(colon + 1);
    if (!fieldName.test(name) || !fieldValue.test(value)) return undefined;
    if (unusual.has(name) || (name === "host" && headers.has(name))) return undefined;
    headers.set(name, withoutBlanks(value));
  }
  const connection = headers.get("connection")?.toLowerCase() ?? "keep-alive";
  const host = headers.get("host");
  if (host === undefined || (connection !== "keep-alive" && connection !== "close")) return undefined;
  return { headers, host, keepsAlive: connection === "keep-alive" };
}

/** Optional white space is blanks and tabs (RFC 9110 §5.6.3); `trim` takes more. */
function withoutBlanks(value: string): string {
  const isBlank = (at: number): boolean => value[at] === " " || value[at] === "\t";
  let [start, end] = [0, value.length];
  while (start < end && isBlank(start)) start++;
  while (end > start && isBlank(end - 1)) end--;
  return value.slice(start, end);
}
