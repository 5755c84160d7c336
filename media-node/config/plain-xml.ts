import { notWellFormed, XmlError } from "./problem.ts";

/**
 * The same document with nothing but tags, text and hollow comments in it, so that no reader after this one meets a
 * declaration: CDATA sections become escaped text, processing instructions and comments go where they are of one line, and
 * indentation between tags goes. Every line keeps its number.
 * @param source with lines that end with a line feed
 * @throws {XmlError} for a document type or entity declaration, and for what is not closed
 */
export function plainXml(source: string): string {
  let plain = "";
  let from = 0;
  for (let at = nextSpecial(source, 0); at >= 0; at = nextSpecial(source, from)) {
    const kind = kindAt(source, at);
    const end = source.indexOf(kind.end, at + kind.start.length);
    if (end < 0) throw notWellFormed(lineAt(source, at), `${kind.name} is not closed.`);
    plain += source.slice(from, at) + kind.replace(source.slice(at + kind.start.length, end));
    from = end + kind.end.length;
  }
  return (plain + source.slice(from)).replace(layout, "$1");
}

/**
 * What indents a tag on a new line after an end tag, or a start tag after any: never part of a text that counts, and a
 * third of a large file.
 */
const layout = /(<\/[^<>]*>\n|>\n(?=[ \t]+<[^/!]))[ \t]+(?=<)/g;

/** The line, from 1, of a character of `source`. */
export function lineAt(source: string, at: number): number {
  return source.slice(0, at).split("\n").length;
}

function nextSpecial(source: string, from: number): number {
  for (let at = source.indexOf("<", from); at >= 0; at = source.indexOf("<", at + 1)) {
    const next = source.charCodeAt(at + 1);
    if (next === exclamationMark || next === questionMark) return at;
  }
  return -1;
}

const exclamationMark = 0x21;
const questionMark = 0x3f;

interface Special {
  readonly name: string;
  readonly start: string;
  readonly end: string;
  readonly replace: (inside: string) => string;
}

/** A comment takes no part in the text around it, unlike line ends alone. */
function hollow(inside: string): string {
  const lineEnds = inside.replace(/[^\n]+/g, "");
  return lineEnds === "" ? "" : `<!--${lineEnds}-->`;
}

const escaped: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };

const comment: Special = { name: "A comment", start: "<!--", end: "-->", replace: hollow };
const instruction: Special = { name: "A processing instruction", start: "<?", end: "?>", replace: hollow };
const cdata: Special = {
  name: "A CDATA section",
  start: "<![CDATA[",
  end: "]]>",
  replace: (inside) => inside.replace(/[&<>]/g, (character) => escaped[character]!),
};

/** Comments and CDATA sections are the only `<!` a configuration needs; the rest can define entities. */
function kindAt(source: string, at: number): Special {
  if (source.startsWith(comment.start, at)) return comment;
  if (source.startsWith(cdata.start, at)) return cdata;
  if (source.startsWith(instruction.start, at)) {
    if (at === 0 || !/^<\?xml[ \t\r\n]/i.test(source.slice(at, at + 6))) return instruction;
    throw notWellFormed(lineAt(source, at), "<?xml …?> may stand only at the very beginning.");
  }
  const message = "Document type declarations and entities are refused.";
  const remedy = "Remove the declaration; use ${env:…} or include.";
  throw new XmlError("declaration", lineAt(source, at), message, remedy);
}
