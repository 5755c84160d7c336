import { notWellFormed, XmlError } from "./problem.ts";
import { decodeReferences } from "./xml-references.ts";
import type { ReportXml, XmlElement } from "./xml.ts";

export const maxXmlDepth = 64;
const maxXmlElements = 100_000;
const maxXmlAttributes = 32;

interface OpenElement extends XmlElement {
  children: OpenElement[];
  text: string;
}

const noAttributes: ReadonlyMap<string, string> = new Map();
/** Of every element until it gets its first child: most have none. */
const noChildren: OpenElement[] = [];
const blank = /^[ \t\n]*$/;
const lineFeed = 0x0a;
const lessThan = 0x3c;
/** What follows the < of an end tag, and of a hollow comment. */
const isNoStart = (code: number): boolean => code === 0x2f || code === 0x21;

/**
 * Makes our tree while a parser walks through `plain`: it tells of start tags and texts in order, with their depth from 1.
 * Nothing of the parser's own tree is kept, which takes most of the memory and time of a large file.
 */
export class XmlTree {
  readonly #plain: string;
  readonly #file: string;
  readonly #report: ReportXml;
  /** The element of each depth that was started last. */
  readonly #open: OpenElement[] = [];
  #root: XmlElement | undefined;
  #count = 0;
  /** Of the last start tag, and its line. */
  #at = -1;
  #line = 1;

  /** @param plain what `plainXml` made: every `<` begins a tag or a hollow comment */
  constructor(plain: string, file: string, report: ReportXml) {
    this.#plain = plain;
    this.#file = file;
    this.#report = report;
  }

  get root(): XmlElement | undefined {
    return this.#root;
  }

  /** @returns the line of the start tag behind the last one that the parser told of, where it is when it throws */
  skipElement(): number {
    this.#advance();
    return this.#line;
  }

  /** @throws {XmlError} when an element exceeds a limit or is not well formed */
  startElement(name: string, depth: number, attributes: Readonly<Record<string, unknown>>): void {
    this.#advance();
    if (!this.#plain.startsWith(name, this.#at + 1)) throw this.#malformed(`<${name}> is malformed.`);
    if (depth === 1 && this.#root) throw this.#malformed(`A second root element <${name}>.`);
    if (depth > maxXmlDepth) throw this.#tooMuch(`Elements are nested more than ${maxXmlDepth} deep.`);
    if (++this.#count > maxXmlElements) throw this.#tooMuch(`There are more than ${maxXmlElements} elements.`);
    const element: OpenElement = {
      name,
      attributes: this.#attributesOf(attributes),
      children: noChildren,
      text: "",
      line: this.#line,
      file: this.#file,
    };
    const parent = this.#open[depth - 2];
    if (!parent) this.#root = element;
    else this.#adopt(parent, element);
    this.#open[depth - 1] = element;
  }

  /** @throws {XmlError} for an entity that nobody knows */
  addText(text: string, depth: number): void {
    const element = this.#open[depth - 1];
    // Blanks matter where they are all there is; between elements they are layout.
    if (!element || (element.children.length > 0 && blank.test(text))) return;
    element.text += this.#decode(text, element.line);
  }

  #adopt(parent: OpenElement, element: OpenElement): void {
    if (parent.children.length > 0) {
      parent.children.push(element);
      return;
    }
    parent.children = [element];
    if (blank.test(parent.text)) parent.text = "";
  }

  #decode(text: string, line: number): string {
    return text.includes("&") ? decodeReferences(text, line, this.#report) : text;
  }

  /** The parser says what it reads, not where: it is always the next start tag. */
  #advance(): void {
    const plain = this.#plain;
    for (let at = this.#at + 1; at < plain.length; at++) {
      const code = plain.charCodeAt(at);
      if (code === lineFeed) this.#line++;
      if (code !== lessThan || isNoStart(plain.charCodeAt(at + 1))) continue;
      this.#at = at;
      return;
    }
    this.#at = plain.length;
  }

  #attributesOf(given: Readonly<Record<string, unknown>>): ReadonlyMap<string, string> {
    if (isEmpty(given)) return noAttributes;
    const entries = Object.entries(given);
    if (entries.length > maxXmlAttributes)
      throw this.#tooMuch(`An element has more than ${maxXmlAttributes} attributes.`);
    const attributes = new Map<string, string>();
    for (const [key, value] of entries) {
      const text = String(value);
      if (text.includes("<")) throw this.#malformed(`The attribute ${key} holds a plain <.`);
      attributes.set(key, this.#decode(text, this.#line));
    }
    return attributes;
  }

  #malformed(message: string): XmlError {
    return notWellFormed(this.#line, message);
  }

  #tooMuch(message: string): XmlError {
    return new XmlError("too-many", this.#line, message, "Split the file with include.");
  }
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false;
  return true;
}
