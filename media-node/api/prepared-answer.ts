import { STATUS_CODES } from "node:http";

/** The beginning of an answer as it is written: head, and the body where it is short and whole. */
interface Prepared {
  readonly status: number;
  readonly date: string;
  /** Undefined where it goes out by itself. */
  readonly body: readonly Uint8Array[] | undefined;
  readonly bytes: Buffer;
}

/** By the array of headers: answers that many get have one that lives long, and go out as the same bytes to all of them. */
const prepared = new WeakMap<readonly string[], Prepared>();
/** Bodies up to this size are copied behind their head once, so that one write takes both. */
export const maxJoinedBytes = 16 * 1024;

/** An answer's head for a connection that stays open, with `body` behind it where there is one; the same bytes for all who get the same. */
export function prepare(
  status: number,
  headers: readonly string[],
  date: string,
  body: readonly Uint8Array[] | undefined,
): Buffer {
  const known = prepared.get(headers);
  const isSame = known?.body === body || isSingle(known?.body, body);
  if (known && isSame && known.date === date && known.status === status) return known.bytes;
  const head = Buffer.from(headText(status, headers, date, true), "latin1");
  const bytes = body ? Buffer.concat([head, ...body]) : head;
  prepared.set(headers, { status, date, body, bytes });
  return bytes;
}

/** A text's one piece comes in another array each time. */
const isSingle = (known: readonly Uint8Array[] | undefined, body: readonly Uint8Array[] | undefined): boolean =>
  known?.length === 1 && body?.length === 1 && known[0] === body[0];

/** @throws {TypeError} for a value that would end its line */
export function headText(status: number, headers: readonly string[], date: string, keepsAlive: boolean): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}\r\n`;
  for (let index = 0; index < headers.length; index += 2) {
    const value = headers[index + 1]!;
    // A value that came from outside must not end its line.
    if (/[^\t\x20-\x7e\x80-\xff]/.test(value)) {
      throw new TypeError(`the header ${headers[index]} holds a control character`);
    }
    text += `${headers[index]}: ${value}\r\n`;
  }
  return `${text}Date: ${date}\r\nConnection: ${keepsAlive ? "keep-alive" : "close"}\r\n\r\n`;
}
