import { XmlError } from "./problem.ts";
import type { ReportXml } from "./xml.ts";

const predefined: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
]);

/**
 * Decodes the five predefined entities and character references, once. A lone `&` stays, as OvenMediaEngine reads it, and
 * is reported.
 * @throws {XmlError} for any other entity, and for characters that XML has not
 */
export function decodeReferences(text: string, line: number, report: ReportXml): string {
  let hasLone = false;
  const decoded = text.replace(/&(?:#(\d{1,7});|#x([\da-fA-F]{1,6});|(\w{1,32});)?/g, (whole, decimal, hex, name) => {
    if (whole === "&") {
      hasLone = true;
      return whole;
    }
    const found = name === undefined ? characterOf(decimal, hex) : predefined.get(name);
    if (found !== undefined) return found;
    const remedy = "Write the character itself; &amp; &lt; &gt; &quot; &apos; are the only names.";
    throw new XmlError("entity", line, `The entity ${whole} is not known.`, remedy);
  });
  if (hasLone) report(line, "lone-ampersand", "A & that begins no reference is read as it is.", "Write &amp;.");
  return decoded;
}

function characterOf(decimal: string | undefined, hex: string | undefined): string | undefined {
  const code = decimal === undefined ? Number.parseInt(hex ?? "", 16) : Number.parseInt(decimal, 10);
  const isCharacter =
    code === 0x9 ||
    code === 0xa ||
    code === 0xd ||
    (code >= 0x20 && code <= 0xd7ff) ||
    (code >= 0xe000 && code <= 0xfffd) ||
    (code >= 0x10000 && code <= 0x10ffff);
  return isCharacter ? String.fromCodePoint(code) : undefined;
}
