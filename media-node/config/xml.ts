import type { ProblemCode } from "./problem-codes.ts";
import { decodeReferences } from "./xml-references.ts";
import { XmlError } from "./problem.ts";

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

/** Large enough for 5,000 rules; what grows beyond it is not a configuration. */
export const maxXmlBytes = 1024 * 1024;
export const maxXmlDepth = 64;
export const maxXmlElements = 100_000;
export const maxXmlAttributes = 32;

/** Something that a strict reader refuses and OvenMediaEngine reads. */
export type ReportXml = (line: number, code: ProblemCode, message: string, remedy: string) => void;

/**
 * Parses one XML 1.0 document of at most 1 MiB, 64 levels and 100,000 elements in linear time. A document type declaration
 * is refused, so there are no entities to expand; only the five predefined ones and character references are decoded,
 * once. Why we do this ourselves: docs/decisions/xml.md.
 * @throws {XmlError} for anything that is not well formed or exceeds a limit
 */
export function parseXml(text: string, file: string, report: ReportXml = () => {}): XmlElement {
  if (text.length > maxXmlBytes || new TextEncoder().encode(text).length > maxXmlBytes) {
    throw new XmlError("too-large", 1, `The file is larger than ${maxXmlBytes} bytes.`, "Split it with include.");
  }
  return new XmlReader(text.replace(/^\uFEFF/, ""), file, report).read();
}

interface OpenElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: OpenElement[];
  text: string;
  readonly line: number;
  readonly file: string;
}

const noAttributes: ReadonlyMap<string, string> = new Map();
const blank = /^[ \t\r\n]*$/;
const name = /[A-Za-z_:\u00C0-\uFFFD][-.\w:\u00B7\u00C0-\uFFFD]*/y;
const attribute =
  /[ \t\r\n]+([A-Za-z_:\u00C0-\uFFFD][-.\w:\u00B7\u00C0-\uFFFD]*)[ \t\r\n]*=[ \t\r\n]*(?:"([^"<]*)"|'([^'<]*)')/y;
const tagEnd = /[ \t\r\n]*(\/?)>/y;
/** Neither XML nor anything that is shown to a person may hold them. */
const forbidden = /[^\P{Cc}\t\n\r]|[\uFFFE\uFFFF]/u;

class XmlReader {
  readonly #source: string;
  readonly #file: string;
  readonly #report: ReportXml;
  readonly #open: OpenElement[] = [];
  #root: OpenElement | undefined;
  #count = 0;
  #at = 0;
  // The line of #lineAt; only moves forward.
  #line = 1;
  #lineAt = 0;

  constructor(source: string, file: string, report: ReportXml) {
    this.#source = source;
    this.#file = file;
    this.#report = report;
  }

  read(): XmlElement {
    const strange = forbidden.exec(this.#source);
    if (strange) throw this.#malformed("There is a control character", strange.index);
    while (this.#at < this.#source.length) {
      const tag = this.#source.indexOf("<", this.#at);
      this.#takeText(tag < 0 ? this.#source.length : tag);
      if (tag >= 0) this.#takeMarkup();
    }
    const unclosed = this.#open.at(-1);
    if (unclosed) throw this.#malformed(`<${unclosed.name}> of line ${unclosed.line} is not closed`);
    if (!this.#root) throw this.#malformed("There is no element");
    return this.#root;
  }

  #takeText(end: number): void {
    if (end === this.#at) return;
    const raw = this.#source.slice(this.#at, end);
    const top = this.#open.at(-1);
    const isBlank = blank.test(raw);
    if (!top && !isBlank) throw this.#malformed("There is text outside the root element");
    // Blanks matter where they are all there is; between elements they are layout.
    if (top && !(isBlank && top.children.length > 0)) this.#append(top, this.#decode(raw, this.#at));
    this.#at = end;
  }

  #append(element: OpenElement, text: string): void {
    element.text += text;
  }

  #decode(raw: string, at: number): string {
    const text = raw.includes("\r") ? raw.replace(/\r\n?/g, "\n") : raw;
    return text.includes("&") ? decodeReferences(text, this.#lineOf(at), this.#report) : text;
  }

  #takeMarkup(): void {
    switch (this.#source[this.#at + 1]) {
      case "!":
        return this.#takeDeclaration();
      case "?":
        return this.#takeInstruction();
      case "/":
        return this.#takeEnd();
      default:
        return this.#takeStart();
    }
  }

  /** Comments and CDATA sections are the only `<!` a configuration needs; the rest can define entities. */
  #takeDeclaration(): void {
    if (this.#source.startsWith("<!--", this.#at)) {
      this.#at = this.#endOf("-->", 4, "A comment is not closed");
    } else if (this.#source.startsWith("<![CDATA[", this.#at)) {
      const top = this.#open.at(-1);
      if (!top) throw this.#malformed("A CDATA section stands outside the root element");
      const start = this.#at + 9;
      this.#at = this.#endOf("]]>", 9, "A CDATA section is not closed");
      this.#append(top, this.#source.slice(start, this.#at - 3).replace(/\r\n?/g, "\n"));
    } else {
      const message = "Document type declarations and entities are refused.";
      const remedy = "Remove the declaration; use ${env:…} or include.";
      throw new XmlError("declaration", this.#lineOf(this.#at), message, remedy);
    }
  }

  #takeInstruction(): void {
    if (/^<\?xml[ \t\r\n]/i.test(this.#source.slice(this.#at, this.#at + 6)) && this.#at > 0) {
      throw this.#malformed("<?xml …?> may stand only at the very beginning");
    }
    this.#at = this.#endOf("?>", 2, "A processing instruction is not closed");
  }

  #endOf(terminator: string, skip: number, message: string): number {
    const end = this.#source.indexOf(terminator, this.#at + skip);
    if (end < 0) throw this.#malformed(message);
    return end + terminator.length;
  }

  #takeEnd(): void {
    const found = this.#match(name, this.#at + 2);
    const top = this.#open.pop();
    const end = this.#match(tagEnd, this.#at + 2 + (found?.[0].length ?? 0));
    if (!found || !end || end[1] !== "") throw this.#malformed("An end tag is malformed");
    if (!top) throw this.#malformed(`</${found[0]}> closes nothing`);
    if (found[0] !== top.name) throw this.#malformed(`</${found[0]}> closes <${top.name}> of line ${top.line}`);
    this.#at += 2 + found[0].length + end[0].length;
  }

  #takeStart(): void {
    const line = this.#lineOf(this.#at);
    const found = this.#match(name, this.#at + 1);
    if (!found) throw this.#malformed("A tag has no name; a plain < is written &lt;");
    if (this.#open.length === 0 && this.#root) throw this.#malformed(`A second root element <${found[0]}>`);
    if (this.#open.length >= maxXmlDepth) throw this.#tooMuch(`Elements are nested more than ${maxXmlDepth} deep.`);
    if (++this.#count > maxXmlElements) throw this.#tooMuch(`There are more than ${maxXmlElements} elements.`);
    let at = this.#at + 1 + found[0].length;
    let attributes = noAttributes;
    for (let pair = this.#match(attribute, at); pair; pair = this.#match(attribute, at)) {
      attributes = this.#withAttribute(attributes, pair[1]!, this.#decode(pair[2] ?? pair[3] ?? "", at));
      at += pair[0].length;
    }
    const end = this.#match(tagEnd, at);
    if (!end) throw this.#malformed(`<${found[0]}> is malformed`);
    this.#at = at + end[0].length;
    this.#enter({ name: found[0], attributes, children: [], text: "", line, file: this.#file }, end[1] === "/");
  }

  #withAttribute(attributes: ReadonlyMap<string, string>, key: string, value: string): ReadonlyMap<string, string> {
    if (attributes.has(key)) throw this.#malformed(`The attribute ${key} is given twice`);
    if (attributes.size >= maxXmlAttributes)
      throw this.#tooMuch(`An element has more than ${maxXmlAttributes} attributes.`);
    return new Map([...attributes, [key, value]]);
  }

  #enter(element: OpenElement, isEmpty: boolean): void {
    const parent = this.#open.at(-1);
    if (!parent) this.#root = element;
    else {
      if (parent.children.length === 0 && blank.test(parent.text)) parent.text = "";
      parent.children.push(element);
    }
    if (!isEmpty) this.#open.push(element);
  }

  #match(expression: RegExp, at: number): RegExpExecArray | null {
    expression.lastIndex = at;
    return expression.exec(this.#source);
  }

  #lineOf(at: number): number {
    for (let next = this.#nextLine(); next <= at; next = this.#nextLine()) {
      this.#line++;
      this.#lineAt = next;
    }
    return this.#line;
  }

  /** Where the next line begins; infinity on the last one. */
  #nextLine(): number {
    const end = this.#source.indexOf("\n", this.#lineAt);
    return end < 0 ? Number.POSITIVE_INFINITY : end + 1;
  }

  #malformed(message: string, at = this.#at): XmlError {
    const remedy = "Correct the XML here: nothing of the file was read.";
    return new XmlError("not-well-formed", this.#lineOf(Math.min(at, this.#source.length)), `${message}.`, remedy);
  }

  #tooMuch(message: string): XmlError {
    return new XmlError("too-many", this.#lineOf(this.#at), message, "Split the file with include.");
  }
}
