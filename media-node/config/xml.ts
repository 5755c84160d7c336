import { XMLParser, XMLValidator } from "fast-xml-parser";
import { XmlError } from "./problem.ts";

/** One element as it stands in the file. Names and texts are data only: never used as keys of an object. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  /** All character data directly inside, in order, references decoded, blanks kept. */
  readonly text: string;
  /** Line of the start tag, from 1. */
  readonly line: number;
  /** The file it was read from: an included element keeps its own. */
  readonly file: string;
}

/** Large enough for 5,000 rules; what grows beyond it is not a configuration. */
export const maxXmlBytes = 1024 * 1024;
export const maxXmlDepth = 64;
export const maxXmlElements = 100_000;

/**
 * Parses one XML document of at most 1 MiB, 64 levels and 100,000 elements. A document type declaration is refused, so
 * there are no entities to expand; only the five predefined ones and character references are decoded, once.
 * @throws {XmlError} for anything that is not well formed or exceeds a limit
 */
export function parseXml(text: string, file: string): XmlElement {
  if (text.length > maxXmlBytes || new TextEncoder().encode(text).length > maxXmlBytes) {
    throw new XmlError("too-large", 1, `The file is larger than ${maxXmlBytes} bytes.`, "Split it with include.");
  }
  const source = text.replace(/^\uFEFF/, "").replace(/\r\n?/g, "\n");
  const lines = new LineIndex(source);
  refuseDeclarations(source, lines);
  const verdict = XMLValidator.validate(source);
  if (verdict !== true) throw notWellFormed(verdict.err.msg, verdict.err.line);
  try {
    return rootOf(newParser().parse(source), lines, file);
  } catch (thrown) {
    if (thrown instanceof XmlError) throw thrown;
    throw notWellFormed(thrown instanceof Error ? thrown.message : String(thrown), 1, { cause: thrown });
  }
}

function notWellFormed(message: string, line: number, options?: ErrorOptions): XmlError {
  return new XmlError("not-well-formed", line, message, "Correct the XML here: nothing of the file was read.", options);
}

function newParser(): XMLParser {
  return new XMLParser({
    preserveOrder: true,
    ignoreAttributes: false,
    attributeNamePrefix: "",
    parseTagValue: false,
    trimValues: false,
    processEntities: false,
    cdataPropName: "#cdata",
    captureMetaData: true,
    maxNestedTags: maxXmlDepth,
    ignoreDeclaration: true,
    ignorePiTags: true,
    jPath: false,
    onDangerousProperty: (name) => name,
  });
}

/** Comments and CDATA sections are the only `<!` a configuration needs; the rest can define entities. */
function refuseDeclarations(source: string, lines: LineIndex): void {
  for (let at = source.indexOf("<!"); at >= 0; at = source.indexOf("<!", at)) {
    const end = source.startsWith("<!--", at)
      ? source.indexOf("-->", at + 4) + 3
      : source.startsWith("<![CDATA[", at)
        ? source.indexOf("]]>", at + 9) + 3
        : -1;
    if (end < 0) {
      const message = "Document type declarations and entities are refused.";
      throw new XmlError("declaration", lines.lineAt(at), message, "Remove the declaration; use ${env:…} or include.");
    }
    if (end < at) throw notWellFormed("A comment or CDATA section is not closed.", lines.lineAt(at));
    at = end;
  }
}

/**
 * What the parser yields per node with `preserveOrder` is an object with one key naming it, `":@"` with its attributes,
 * and its place under a symbol.
 */
function rootOf(parsed: unknown, lines: LineIndex, file: string): XmlElement {
  const startKey: unknown = XMLParser.getMetaDataSymbol();
  let count = 0;
  const toElement = (node: object, name: string): XmlElement => {
    const place = typeof startKey === "symbol" ? get(node, startKey) : undefined;
    const line = lines.lineAt(Number(get(place, "startIndex") ?? 0));
    if (++count > maxXmlElements) {
      throw new XmlError("too-many", line, `More than ${maxXmlElements} elements.`, "Split the file with include.");
    }
    const children: XmlElement[] = [];
    let text = "";
    for (const child of nodesOf(get(node, name))) {
      const key = nameOf(child);
      if (key === "#text") text += decodeReferences(String(get(child, key)), line);
      else if (key === "#cdata")
        text += nodesOf(get(child, key))
          .map((part) => String(get(part, "#text")))
          .join("");
      else if (key !== undefined) children.push(toElement(child, key));
    }
    const attributes = new Map<string, string>();
    for (const [key, value] of Object.entries(get(node, ":@") ?? {})) {
      attributes.set(key, decodeReferences(String(value), line));
    }
    return { name, attributes, children, text, line, file };
  };
  for (const node of nodesOf(parsed)) {
    const name = nameOf(node);
    if (name !== undefined && !name.startsWith("#")) return toElement(node, name);
  }
  throw notWellFormed("There is no root element.", 1);
}

function nodesOf(value: unknown): object[] {
  return Array.isArray(value) ? value.filter((node) => typeof node === "object" && node !== null) : [];
}

function nameOf(node: object): string | undefined {
  return Object.keys(node).find((key) => key !== ":@");
}

/** An own property, so that nothing of a prototype is ever taken for data. */
function get(node: unknown, key: PropertyKey): unknown {
  if (typeof node !== "object" || node === null || !Object.hasOwn(node, key)) return undefined;
  return Reflect.get(node, key);
}

const predefined: ReadonlyMap<string, string> = new Map([
  ["amp", "&"],
  ["lt", "<"],
  ["gt", ">"],
  ["quot", '"'],
  ["apos", "'"],
]);

function decodeReferences(text: string, line: number): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#(\d{1,7})|#x([\da-fA-F]{1,6})|(\w+));/g, (whole, decimal, hex, name: string) => {
    const code = decimal ? Number.parseInt(decimal, 10) : hex ? Number.parseInt(hex, 16) : undefined;
    const decoded =
      code === undefined ? predefined.get(name) : code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
    if (decoded !== undefined) return decoded;
    throw new XmlError(
      "entity",
      line,
      `The entity ${whole} is not known.`,
      "Only &amp; &lt; &gt; &quot; &apos; exist.",
    );
  });
}

/** Answers on which line a character stands, in logarithmic time. */
class LineIndex {
  readonly #starts: number[] = [0];

  constructor(source: string) {
    for (let at = source.indexOf("\n"); at >= 0; at = source.indexOf("\n", at + 1)) this.#starts.push(at + 1);
  }

  lineAt(index: number): number {
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! <= index) low = middle;
      else high = middle;
    }
    return low + 1;
  }
}
