/**
 * A reply in RESP2 (the Redis serialization protocol). Text is bytes as latin1 characters: what was stored comes back
 * whatever it was, and lengths are bytes.
 */
export type RespValue =
  string | number | null | readonly RespValue[] | { readonly status: string } | { readonly error: string };

/** One reply; strings as bulk strings. */
export function serializeRespValue(value: RespValue): string {
  if (value === null) return "$-1\r\n";
  if (typeof value === "string") return `$${value.length}\r\n${value}\r\n`;
  if (typeof value === "number") return `:${value}\r\n`;
  if ("status" in value) return `+${oneLine(value.status)}\r\n`;
  if ("error" in value) return `-${oneLine(value.error)}\r\n`;
  return `*${value.length}\r\n${value.map(serializeRespValue).join("")}`;
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, " ");
}
