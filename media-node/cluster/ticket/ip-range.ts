/** An address as bytes: 4 of IPv4, 16 of IPv6; IPv4 written as IPv6 (`::ffff:192.0.2.1`) is IPv4. */
export function parseIp(text: string): Uint8Array | undefined {
  const plain = text.replace(/^\[(.*)\]$/, "$1").replace(/%.*$/, "");
  if (!plain.includes(":")) return parseIpv4(plain);
  const bytes = parseIpv6(plain);
  return bytes && isMapped(bytes) ? bytes.slice(12) : bytes;
}

/**
 * Whether an address lies in a range such as `192.0.2.0/24`, `2001:db8::/32`, or one address. `undefined` when the range
 * is none; an address that is none lies in no range.
 */
export function isInRange(address: string, range: string): boolean | undefined {
  const [base = "", bitsText, ...rest] = range.trim().split("/");
  const start = parseIp(base);
  if (!start || rest.length > 0) return undefined;
  const bits = bitsText === undefined ? start.length * 8 : /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : Number.NaN;
  // A range of mapped addresses counts its bits from the front of the IPv6 form.
  const prefix = base.includes(":") && start.length === 4 && bitsText !== undefined ? bits - 96 : bits;
  if (!(prefix >= 0 && prefix <= start.length * 8)) return undefined;
  const bytes = parseIp(address);
  if (bytes?.length !== start.length) return false;
  return bytes.every((byte, index) => {
    const kept = Math.min(8, Math.max(0, prefix - index * 8));
    return byte >> (8 - kept) === start[index]! >> (8 - kept);
  });
}

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^\d{1,3}$/.test(part) && Number(part) <= 255)) return undefined;
  return Uint8Array.from(parts, Number);
}

function parseIpv6(text: string): Uint8Array | undefined {
  const lastColon = text.lastIndexOf(":");
  const embedded = text.includes(".") ? parseIpv4(text.slice(lastColon + 1)) : new Uint8Array();
  const groups = text.includes(".") ? text.slice(0, lastColon + (text[lastColon - 1] === ":" ? 1 : 0)) : text;
  const halves = groups.split("::");
  if (!embedded || halves.length > 2) return undefined;
  const [head, tail] = [parseGroups(halves[0]!), halves.length === 2 ? parseGroups(halves[1]!) : []];
  if (!head || !tail) return undefined;
  const end = [...tail, ...embedded];
  const missing = 16 - head.length - end.length;
  if (halves.length === 2 ? missing < 2 : missing !== 0) return undefined;
  return Uint8Array.from([...head, ...Array.from({ length: missing }, () => 0), ...end]);
}

function parseGroups(text: string): number[] | undefined {
  if (text === "") return [];
  const groups = text.split(":");
  if (groups.length > 8 || !groups.every((group) => /^[\da-f]{1,4}$/i.test(group))) return undefined;
  return groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]);
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes[10] === 255 && bytes[11] === 255 && bytes.subarray(0, 10).every((byte) => byte === 0);
}
