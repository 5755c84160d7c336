import { didYouMean } from "./did-you-mean.ts";
import { expandMacros, type MacroValues } from "./macros.ts";
import type { Problem } from "./problem.ts";
import type { Children, GroupNode, GroupValue, ListNode, Place, Report, ScalarNode, SchemaNode } from "./schema.ts";
import type { XmlElement } from "./xml.ts";

export interface ReaderOptions {
  readonly macros: MacroValues;
  /** Files of a version before 8 may lack what newer ones must have. */
  readonly isOldFile: boolean;
  /** The elements that stand in place of one with `include`; problems with finding them are reported inside. */
  readonly include: (element: XmlElement, pattern: string, path: string, isList: boolean) => readonly XmlElement[];
  readonly problems: Problem[];
}

/** More problems than anyone reads; the rest is counted in a last one. */
const maxProblems = 1_000;

/** Reads an element tree by a schema: values come out typed, whatever is odd is reported, nothing throws. */
export class SchemaReader {
  readonly #options: ReaderOptions;
  readonly #unusedSeen = new Set<string>();
  #problemCount = 0;

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  readRoot<C extends Children>(root: XmlElement, node: GroupNode<C>): GroupValue<C> {
    return this.#readGroup(root, node, root.name, true);
  }

  report(
    at: { readonly path: string; readonly file: string; readonly line: number },
    severity: "error" | "warning",
    code: string,
    message: string,
    remedy: string,
  ): void {
    this.#problemCount++;
    const { problems } = this.#options;
    if (this.#problemCount <= maxProblems || (severity === "error" && this.#problemCount <= 2 * maxProblems)) {
      problems.push({ severity, code, path: at.path, file: at.file, line: at.line, message, remedy });
    } else if (this.#problemCount === 2 * maxProblems + 1) {
      const message = "There are more problems than are listed here.";
      problems.push({ ...at, severity: "error", code: "too-many-problems", message, remedy: "Correct these first." });
    }
  }

  /**
   * @param isEnforced whether a missing required child is fatal: OvenMediaEngine looks only where every ancestor up to
   * the nearest list item is required, too
   */
  #readGroup<C extends Children>(
    element: XmlElement,
    node: GroupNode<C>,
    path: string,
    isEnforced: boolean,
  ): GroupValue<C> {
    const byName = this.#sortChildren(element, node, path);
    const places = new Map<string, Place[]>();
    const values: Record<string, unknown> = Object.create(null);
    for (const [name, child] of Object.entries<SchemaNode>(node.children)) {
      const found = byName.get(name) ?? [];
      const childPath = `${path}/${name}`;
      if (child.kind === "list") {
        const items = this.#readList(found, child, childPath);
        values[name] = items.map(({ value }) => value);
        places.set(
          name,
          items.map(({ place }) => place),
        );
        if (items.length === 0 && child.isRequired) {
          const mayLack = child.isAssumedForOldFiles && this.#options.isOldFile;
          this.#missing(element, childPath, isEnforced && !mayLack);
        }
        continue;
      }
      const [first, second] = child.kind === "group" ? this.#include(found, childPath) : found;
      if (second) {
        const at = { path: childPath, file: second.file, line: second.line };
        this.report(at, "warning", "given-twice", `${name} is given twice; the first counts.`, "Keep one of them.");
      }
      if (first) places.set(name, [placeOf(first, childPath)]);
      values[name] = this.#readChild(first, element, child, childPath, isEnforced);
    }
    values["$"] = placeOf(element, path, places);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- filled above, key by key, as the schema says
    return values as GroupValue<C>;
  }

  #readChild(
    found: XmlElement | undefined,
    parent: XmlElement,
    node: Exclude<SchemaNode, ListNode>,
    path: string,
    isEnforced: boolean,
  ): unknown {
    if (node.kind === "scalar") {
      return found ? this.#readScalar(found, node, path) : this.#missingScalar(parent, node, path, isEnforced);
    }
    if (node.kind === "group") {
      if (found) return this.#readGroup(found, node, path, isEnforced && node.isRequired);
      if (node.isRequired) this.#missing(parent, path, isEnforced);
      return undefined;
    }
    if (found && node.kind === "unused") this.#noteUnused(found, path);
    return undefined;
  }

  #readList(found: readonly XmlElement[], node: ListNode, path: string): { value: unknown; place: Place }[] {
    const elements = node.item.kind === "group" ? this.#include(found, path, true) : found;
    return elements.map((element, index) => {
      const itemPath = `${path}[${index + 1}]`;
      if (node.item.kind === "scalar") {
        return { value: this.#readScalar(element, node.item, itemPath), place: placeOf(element, itemPath) };
      }
      const value = this.#readGroup(element, node.item, itemPath, true);
      return { value, place: value.$ };
    });
  }

  #readScalar(element: XmlElement, node: ScalarNode<unknown>, path: string): unknown {
    const at = { path, file: element.file, line: element.line };
    const report: Report = (severity, code, message, remedy) => this.report(at, severity, code, message, remedy);
    const [inside] = element.children;
    if (inside) {
      const insidePath = `${path}/${inside.name}`;
      const unknownAt = { path: insidePath, file: inside.file, line: inside.line };
      this.report(unknownAt, "error", "unknown-element", `Unknown element ${insidePath}.`, "A text belongs here.");
    }
    if (node.belongsIn !== undefined) {
      const home = `${node.belongsIn}/${element.name}`;
      report("warning", "moved-element", `${element.name} is read as if it stood in ${home}.`, `Move it to ${home}.`);
    }
    return node.read(this.#expand(element.text, report), report);
  }

  #expand(text: string, report: Report): string {
    return expandMacros(text, this.#options.macros, (macro, isUnset) => {
      if (isUnset)
        report(
          "warning",
          "unset-variable",
          `${macro} is not set and reads as empty.`,
          "Set it, or give a default: ${env:NAME:default}.",
        );
      else report("warning", "unknown-macro", `${macro} stands for nothing and is left as it is.`, "Use ${env:NAME}.");
    });
  }

  #missingScalar(parent: XmlElement, node: ScalarNode<unknown>, path: string, isEnforced: boolean): unknown {
    if (!node.isRequired) return node.fallback;
    const mayAssume = node.assumed !== undefined && (!node.isAssumedForOldFiles || this.#options.isOldFile);
    if (!mayAssume) {
      this.#missing(parent, path, isEnforced);
      return node.fallback;
    }
    const at = { path, file: parent.file, line: parent.line };
    const message = `${path} is missing; ${JSON.stringify(node.assumed)} is assumed.`;
    this.report(
      at,
      "warning",
      "missing-element",
      message,
      "Add the element: OvenMediaEngine refuses the file without it.",
    );
    return node.assumed;
  }

  #missing(parent: XmlElement, path: string, isEnforced: boolean): void {
    const at = { path, file: parent.file, line: parent.line };
    if (isEnforced) this.report(at, "error", "missing-element", `${path} is required.`, "Add the element.");
    else this.report(at, "warning", "missing-element", `${path} is missing and has no default.`, "Add the element.");
  }

  /** The children by name, without the ignored ones; what the schema does not know is reported. */
  #sortChildren(element: XmlElement, node: GroupNode, path: string): Map<string, XmlElement[]> {
    const byName = new Map<string, XmlElement[]>();
    for (const child of element.children) {
      const known = Object.hasOwn(node.children, child.name) ? node.children[child.name]! : undefined;
      if (this.#isIgnored(child) && !(known?.kind === "group" && known.isReadWhenIgnored)) continue;
      if (!known) this.#unknown(child, node, path);
      const same = byName.get(child.name);
      if (same) same.push(child);
      else byName.set(child.name, [child]);
    }
    const stray = element.text.trim();
    if (stray !== "") {
      const at = { path, file: element.file, line: element.line };
      const message = `The text ${JSON.stringify(stray.slice(0, 40))} has no meaning here.`;
      this.report(at, "warning", "stray-text", message, "Remove it, or put it into an element.");
    }
    return byName;
  }

  #unknown(child: XmlElement, node: GroupNode, path: string): void {
    const childPath = `${path}/${child.name}`;
    const near = didYouMean(child.name, Object.keys(node.children));
    const at = { path: childPath, file: child.file, line: child.line };
    const remedy = near === undefined ? 'Remove it, or mark it ignore="true".' : `Did you mean <${near}>?`;
    this.report(at, "error", "unknown-element", `Unknown element ${childPath}.`, remedy);
  }

  #isIgnored(element: XmlElement): boolean {
    const value = element.attributes.get("ignore");
    return value !== undefined && expandMacros(value, this.#options.macros, () => {}) === "true";
  }

  #include(found: readonly XmlElement[], path: string, isList = false): readonly XmlElement[] {
    if (!found.some((element) => element.attributes.has("include"))) return found;
    return found.flatMap((element) => {
      const pattern = element.attributes.get("include");
      if (pattern === undefined) return [element];
      const expanded = expandMacros(pattern, this.#options.macros, () => {});
      return this.#options.include(element, expanded, path, isList);
    });
  }

  #noteUnused(element: XmlElement, path: string): void {
    const shape = path.replace(/\[\d+\]/g, "");
    if (this.#unusedSeen.has(shape)) return;
    this.#unusedSeen.add(shape);
    const at = { path, file: element.file, line: element.line };
    this.report(at, "warning", "not-used", `${shape} is not used by Hearth.`, "Nothing needs to be done.");
  }
}

function placeOf(element: XmlElement, path: string, children?: ReadonlyMap<string, readonly Place[]>): Place {
  const place: Place = {
    path,
    file: element.file,
    line: element.line,
    has: (name) => (children?.get(name)?.length ?? 0) > 0,
    child: (name, index = 0) => children?.get(name)?.[index] ?? { ...place, path: `${path}/${name}` },
  };
  return place;
}
