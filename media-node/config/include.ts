import type { ProblemCode } from "./problem-codes.ts";
import { XmlError } from "./problem.ts";
import type { ProblemList } from "./problem-list.ts";
import { maxXmlBytes, parseXml, type XmlElement } from "./xml.ts";

/**
 * Reads the files that `pattern` names, relative to the file at `fromPath`; `*` and `?` may stand in the last part of
 * it. Throws when nothing can be read at all.
 */
export type ReadInclude = (
  pattern: string,
  fromPath: string,
) => readonly { readonly path: string; readonly text: string }[];

const maxDepth = 8;
const maxFiles = 1_000;

/** Replaces elements with `include="…"` by the roots of other files. Their number and size are bounded. */
export class IncludeResolver {
  readonly #read: ReadInclude | undefined;
  readonly #problems: ProblemList;
  readonly #depths = new Map<string, number>();
  #size: number;
  #files = 0;

  constructor(read: ReadInclude | undefined, size: number, problems: ProblemList) {
    this.#read = read;
    this.#size = size;
    this.#problems = problems;
  }

  /** @param isList any number of files may match; else exactly one must */
  resolve(element: XmlElement, pattern: string, path: string, isList: boolean): readonly XmlElement[] {
    const roots = this.#load(element, pattern, path, isList);
    if (!roots || isList || roots.length === 1) return roots ?? [];
    const found = roots.length === 0 ? "There is no file to include" : "Too many files found";
    this.#report(element, path, "include-count", `${found} for ${path}: ${pattern}`, "Name exactly one file.");
    return roots.slice(0, 1);
  }

  #load(element: XmlElement, pattern: string, path: string, isList: boolean): readonly XmlElement[] | undefined {
    const depth = (this.#depths.get(element.file) ?? 0) + 1;
    if (!this.#read || depth > maxDepth) {
      const message = this.#read
        ? `Files include each other more than ${maxDepth} deep.`
        : "Nothing can be included here.";
      this.#report(element, path, "include", message, "Write the element out.");
      return undefined;
    }
    try {
      const files = this.#read(pattern, element.file).toSorted((a, b) =>
        a.path < b.path ? -1 : a.path > b.path ? 1 : 0,
      );
      if (isList && files.length === 0 && !/[*?[{]/.test(pattern)) {
        // A pattern may well match nothing yet; whoever wrote a whole name means that file.
        const message = `There is no file to include for ${path}: ${pattern}`;
        const place = { path, file: element.file, line: element.line };
        this.#problems.add(
          place,
          "warning",
          "include-count",
          message,
          "Correct the path; it is relative to this file.",
        );
      }
      return files.flatMap((file) => {
        this.#depths.set(file.path, depth);
        return this.#parse(file, element, path);
      });
    } catch (thrown) {
      const message = `Cannot include ${pattern}: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
      this.#report(element, path, "include", message, "Correct the path; it is relative to this file.");
      return undefined;
    }
  }

  #parse(file: { path: string; text: string }, from: XmlElement, path: string): XmlElement[] {
    this.#size += file.text.length;
    if (++this.#files > maxFiles || this.#size > 4 * maxXmlBytes) {
      const message = `More than ${maxFiles} files or ${4 * maxXmlBytes} characters are included.`;
      this.#report(from, path, "too-large", message, "Include less.");
      return [];
    }
    try {
      const root = parseXml(file.text, file.path, (line, code, message, remedy) =>
        this.#problems.add({ path, file: file.path, line }, "warning", code, message, remedy),
      );
      if (root.name === from.name) return [root];
      const message = `The root element is <${root.name}>, not <${from.name}>.`;
      this.#report(
        root,
        path,
        "include-root",
        message,
        "An included file has the element that includes it as its root.",
      );
    } catch (thrown) {
      if (!(thrown instanceof XmlError)) throw thrown;
      this.#report({ file: file.path, line: thrown.line }, path, thrown.code, thrown.message, thrown.remedy);
    }
    return [];
  }

  #report(
    { file, line }: { file: string; line: number },
    path: string,
    code: ProblemCode,
    message: string,
    remedy: string,
  ): void {
    this.#problems.add({ path, file, line }, "error", code, message, remedy);
  }
}
