/** A request that needs nothing but an answer: no body, no upgrade, nothing unusual. */
export interface RequestHead {
  readonly method: "GET" | "HEAD";
  /** Origin form: begins with `/`. */
  readonly url: string;
  /** Names in lower case; the last of several values. */
  readonly headers: ReadonlyMap<string, string>;
  /** Whether the connection stays open after the answer. */
  readonly keepsAlive: boolean;
  /** All lines but the first, as they came. */
  readonly rest: string;
}

const requestLine = /^(GET|HEAD) (\/[\x21-\x7e]*) HTTP\/1\.1$/;
/** A token, a colon, a value of visible characters, blanks and tabs (RFC 9110 §5.5). No folding, no blank before the colon. */
const headerLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/;
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

/**
 * Reads the head of an HTTP/1.1 request, strictly and only in its plainest form (RFC 9112 §3).
 * @param text latin1, without the empty line that ends it
 * @param before the request before it on the connection: most say the same but for the first line, and are not read again
 * @returns undefined for everything else: Node's own parser then decides, from the first byte on
 */
export function parseRequestHead(text: string, before?: RequestHead): RequestHead | undefined {
  const end = text.indexOf("\r\n");
  const [, method, url] = requestLine.exec(end < 0 ? text : text.slice(0, end)) ?? [];
  if (method === undefined || url === undefined) return undefined;
  const rest = end < 0 ? "" : text.slice(end + 2);
  const fields = before?.rest === rest ? before : parseFields(rest);
  if (!fields) return undefined;
  const { headers, keepsAlive } = fields;
  return { method: method === "GET" ? "GET" : "HEAD", url, headers, keepsAlive, rest };
}

function parseFields(text: string): Pick<RequestHead, "headers" | "keepsAlive"> | undefined {
  const lines = text.split("\r\n");
  if (lines.length >= maxHeaders) return undefined;
  const headers = new Map<string, string>();
  for (const line of lines) {
    const match = headerLine.exec(line);
    if (!match) return undefined;
    const name = match[1]!.toLowerCase();
    if (unusual.has(name) || (name === "host" && headers.has(name))) return undefined;
    headers.set(name, match[2]!.trimEnd());
  }
  const connection = headers.get("connection")?.toLowerCase() ?? "keep-alive";
  if (!headers.has("host") || (connection !== "keep-alive" && connection !== "close")) return undefined;
  return { headers, keepsAlive: connection === "keep-alive" };
}
