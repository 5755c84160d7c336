/** A request that needs nothing but an answer: no body, no upgrade, nothing unusual. */
export interface RequestHead {
  readonly method: "GET" | "HEAD";
  /** Origin form: begins with `/`. */
  readonly url: string;
  /** Names in lower case; the last of several values. */
  readonly headers: ReadonlyMap<string, string>;
  /** Whether the connection stays open after the answer. */
  readonly keepsAlive: boolean;
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
 * @returns undefined for everything else: Node's own parser then decides, from the first byte on
 */
export function parseRequestHead(text: string): RequestHead | undefined {
  const lines = text.split("\r\n");
  const [, method, url] = requestLine.exec(lines[0]!) ?? [];
  if (method === undefined || url === undefined || lines.length > maxHeaders) return undefined;
  const headers = new Map<string, string>();
  for (let index = 1; index < lines.length; index++) {
    const match = headerLine.exec(lines[index]!);
    if (!match) return undefined;
    const name = match[1]!.toLowerCase();
    if (unusual.has(name) || (name === "host" && headers.has(name))) return undefined;
    headers.set(name, match[2]!.trimEnd());
  }
  const connection = headers.get("connection")?.toLowerCase() ?? "keep-alive";
  if (!headers.has("host") || (connection !== "keep-alive" && connection !== "close")) return undefined;
  return { method: method === "GET" ? "GET" : "HEAD", url, headers, keepsAlive: connection === "keep-alive" };
}
