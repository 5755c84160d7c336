import { XMLParser, XMLValidator, type MatcherView } from "fast-xml-parser";
import { lineAt, plainXml } from "./plain-xml.ts";
import type { ProblemCode } from "./problem-codes.ts";
import { notWellFormed, XmlError } from "./problem.ts";
import { maxXmlDepth, XmlTree } from "./xml-tree.ts";

/** One element as it stands in the file. Names and texts are data only: never used as keys of an object. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly XmlElement[];
  /** All character data directly inside, in order, references decoded, blanks kept; `""` where there are only blanks beside elements. */
  readonly text: string;
  /** Line of the start tag, from 1. */
  readonly line: number;
  /** The file it was read from: an included element keeps its own. */
  readonly file: string;
}

/** Large enough for 4,500 rules; what grows beyond it is not a configuration. */
export const maxXmlBytes = 1024 * 1024;

/** Something that a strict reader refuses and OvenMediaEngine reads. */
export type ReportXml = (line: number, code: ProblemCode, message: string, remedy: string) => void;

/**
 * Parses one XML 1.0 document of at most 1 MiB, 64 levels and 100,000 elements in linear time. A document type declaration
 * is refused, so there are no entities to expand; only the five predefined ones and character references are decoded,
 * once. How the library is used, and why: docs/decisions/xml.md.
 * @throws {XmlError} for anything that is not well formed or exceeds a limit
 */
export function parseXml(text: string, file: string, report: ReportXml = () => {}): XmlElement {
  if (text.length > maxXmlBytes || new TextEncoder().encode(text).length > maxXmlBytes) {
    throw new XmlError("too-large", 1, `The file is larger than ${maxXmlBytes} bytes.`, "Split it with include.");
  }
  const source = text.replace(/^\uFEFF/, "").replaceAll("\r\n", "\n");
  const strange = forbidden.exec(source);
  if (strange) throw unreadable(source, lineAt(source, strange.index));
  if (source.trim() === "") throw notWellFormed(1, "The file is empty.");
  const plain = plainXml(source);
  validate(plain);
  return readTree(plain, new XmlTree(plain, file, report));
}

/** Text of two bytes a letter, read as UTF-8, has a NUL beside each letter. */
function unreadable(source: string, line: number): XmlError {
  if (!/<\0|\0</.test(source)) return notWellFormed(line, "There is a control character.");
  return new XmlError(
    "not-well-formed",
    line,
    "The file is saved as UTF-16.",
    "Save it as UTF-8: nothing of it was read.",
  );
}

/** Neither XML nor anything that is shown to a person may hold them. */
const forbidden = /[^\P{Cc}\t\n\r]|[\uFFFE\uFFFF]/u;

/** Stands for `&`, which the library's validator wants to see in references only: no text holds it. */
const ampersand = "\u0001";
const maxMessageLength = 200;

/** The library's parser alone takes much that is not well formed; its validator says so, on which line and why. */
function validate(plain: string): void {
  const verdict = XMLValidator.validate(plain.replaceAll("&", ampersand));
  if (verdict === true) return;
  const { msg, line } = verdict.err;
  // Only at the end is it sure that a tag is not closed.
  const isUnclosed = /^(?:Unclosed tag|Invalid '\[)/.test(msg);
  const message = msg.slice(0, maxMessageLength).replaceAll(ampersand, "&");
  throw notWellFormed(isUnclosed ? lineAt(plain, plain.length) : line, message);
}

/** Lets the library's parser walk through the text, and checks that one element is all there is. */
function readTree(plain: string, tree: XmlTree): XmlElement {
  const parser = new XMLParser({
    preserveOrder: true,
    ignoreAttributes: false,
    attributeNamePrefix: "",
    parseTagValue: false,
    trimValues: false,
    processEntities: false,
    captureMetaData: true,
    maxNestedTags: maxXmlDepth,
    jPath: false,
    onDangerousProperty: (name) => name,
    updateTag(name, matcher, attributes) {
      const depth = depthOf(matcher);
      tree.startElement(name, depth, attributes);
      return depth === 1;
    },
    tagValueProcessor(_name, text, matcher) {
      tree.addText(text, depthOf(matcher));
      return "";
    },
  });
  try {
    refuseRest(plain, parser.parse(plain));
  } catch (thrown) {
    if (thrown instanceof XmlError) throw thrown;
    throw notWellFormed(tree.skipElement(), thrown instanceof Error ? thrown.message : String(thrown));
  }
  if (!tree.root) throw notWellFormed(1, "There is no element.");
  return tree.root;
}

/** @param matcher the path of the element, which is no text with `jPath: false` */
function depthOf(matcher: string | MatcherView): number {
  return typeof matcher === "string" ? 0 : matcher.getDepth();
}

/** The validator lets some text pass that stands behind the root. */
function refuseRest(plain: string, nodes: unknown): void {
  const end = endOf(Array.isArray(nodes) ? nodes[0] : undefined);
  const rest = /^(?:[ \t\r\n]+|<!--\n+-->)*/.exec(plain.slice(end))?.[0] ?? "";
  if (end + rest.length === plain.length) return;
  throw notWellFormed(lineAt(plain, end + rest.length), "There is text outside the root element.");
}

/** What the library notes beside a node of its tree, under a symbol. */
function endOf(node: unknown): number {
  const key: unknown = XMLParser.getMetaDataSymbol();
  const place: unknown =
    typeof node === "object" && node && typeof key === "symbol" ? Reflect.get(node, key) : undefined;
  return typeof place === "object" && place && "endIndex" in place ? Number(place.endIndex) : 0;
}
