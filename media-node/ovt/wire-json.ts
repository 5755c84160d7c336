import { ProtocolError } from "../flow/errors.ts";

/** A number that is written with a decimal point even when whole, as OvenMediaEngine writes its doubles. */
export class WireDouble {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

export type WireJson =
  | null
  | boolean
  | number
  | string
  | WireDouble
  | readonly WireJson[]
  | { readonly [key: string]: WireJson | undefined };

export type WireMembers = Readonly<Record<string, WireJson | undefined>>;

/** Deeper nesting than anything described here; what lies deeper is refused before it is parsed. */
const maxDepth = 32;

/**
 * Writes JSON as OvenMediaEngine's nodes do: keys sorted, no white space, everything beyond ASCII escaped, doubles with up
 * to 17 digits. Nothing depends on it but the comparison with recorded bytes. Undefined members are left out.
 */
export function writeWireJson(value: WireJson): string {
  if (value instanceof WireDouble) return writeDouble(value.value);
  if (typeof value === "string") return writeString(value);
  if (value === null || typeof value !== "object") return String(value);
  if (isList(value)) return `[${value.map(writeWireJson).join(",")}]`;
  const members = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort()
    .map((key) => `${writeString(key)}:${writeWireJson(value[key]!)}`);
  return `{${members.join(",")}}`;
}

/** Whether a value is a JSON array. */
export function isList(value: WireJson | undefined): value is readonly WireJson[] {
  return Array.isArray(value);
}

function writeString(text: string): string {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (unit) => {
    return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** As `%.17g` with a point: 30.0, 29.969999999999999. */
function writeDouble(value: number): string {
  if (!Number.isFinite(value)) return "0.0";
  const digits = value
    .toPrecision(17)
    .replace(/(\.\d*?)0+(?=e|$)/, "$1")
    .replace(/\.(?=e|$)/, "");
  return /[.e]/.test(digits) ? digits : `${digits}.0`;
}

/**
 * Reads one JSON value from UTF-8 bytes; NULs and white space behind it are ignored.
 * @throws {ProtocolError} `OVT_JSON` when it is not JSON or nested too deep
 */
export function parseWireJson(body: Uint8Array): WireJson {
  const padded = new TextDecoder().decode(body);
  // By hand: an expression that ends in `$` would begin anew at each of many blanks.
  let end = padded.length;
  while (end > 0 && (padded[end - 1] === "\0" || padded[end - 1]!.trim() === "")) end--;
  const text = padded.slice(0, end);
  checkDepth(text);
  try {
    const value: WireJson = JSON.parse(text);
    return value;
  } catch (cause) {
    throw new ProtocolError("OVT_JSON", "a message is not JSON", { cause });
  }
}

function checkDepth(text: string): void {
  let depth = 0;
  let isInString = false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (isInString) {
      if (unit === 0x5c) i++;
      else if (unit === 0x22) isInString = false;
    } else if (unit === 0x22) isInString = true;
    else if (unit === 0x7b || unit === 0x5b) {
      if (++depth > maxDepth) throw new ProtocolError("OVT_JSON", "a message is nested too deep");
    } else if (unit === 0x7d || unit === 0x5d) depth--;
  }
}

/** A JSON object's members, or undefined for anything else. Only named keys are read, so `__proto__` is just a key. */
export function membersOf(value: WireJson | undefined): WireMembers | undefined {
  if (typeof value !== "object" || value === null || value instanceof WireDouble || isList(value)) return undefined;
  return value;
}

/** A whole number from 0 to `max`, written as an integer or a float; undefined otherwise. */
export function uintOf(value: unknown, max = 0xffff_ffff): number | undefined {
  const number = intOf(value);
  return number !== undefined && number >= 0 && number <= max ? number : undefined;
}

/** A whole number that is exact, with no sign on zero; undefined otherwise. */
export function intOf(value: unknown): number | undefined {
  return typeof value === "number" && Number.isSafeInteger(value) ? value + 0 : undefined;
}
