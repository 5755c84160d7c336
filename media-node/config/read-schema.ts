import { didYouMean } from "./did-you-mean.ts";
import { ElementPlace } from "./element-place.ts";
import { expandMacros, type MacroValues } from "./macros.ts";
import type { ProblemList } from "./problem-list.ts";
import type { Children, GroupNode, GroupValue, ListNode, Report, ScalarNode, SchemaNode } from "./schema.ts";
import type { XmlElement } from "./xml.ts";

export interface ReaderOptions {
  readonly macros: MacroValues;
  /** Files of a version before 8 may lack what newer ones must have. */
  readonly isOldFile: boolean;
  /** The elements that stand in place of one with `include`; problems with finding them are reported inside. */
  readonly include: (element: XmlElement, pattern: string, path: string, isList: boolean) => readonly XmlElement[];
  readonly problems: ProblemList;
}

/** Reads an element tree by a schema: values come out typed, whatever is odd is reported, nothing throws. */
export class SchemaReader {
  readonly #options: ReaderOptions;
  readonly #shapesSeen = new Set<string>();

  constructor(options: ReaderOptions) {
    this.#options = options;
  }

  readRoot<C extends Children>(root: XmlElement, node: GroupNode<C>): GroupValue<C> {
    return this.#readGroup(new ElementPlace(undefined, root.name, 0, root), node, true);
  }

  /**
   * @param isEnforced whether a missing required child is fatal: OvenMediaEngine looks only where every ancestor up to
   * the nearest list item is required, too
   */
  #readGroup<C extends Children>(place: ElementPlace, node: GroupNode<C>, isEnforced: boolean): GroupValue<C> {
    this.#sortChildren(place, node);
    const values: Record<string, unknown> = { $: place };
    for (const name in node.children) values[name] = this.#readChild(place, name, node.children[name]!, isEnforced);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- filled above, key by key, as the schema says
    return values as GroupValue<C>;
  }

  #readChild(parent: ElementPlace, name: string, node: SchemaNode, isEnforced: boolean): unknown {
    if (node.kind === "list") return this.#readList(parent, name, node, isEnforced);
    if (node.kind === "group") this.#include(parent, name, false);
    const found = parent.childCount(name) > 0 ? parent.child(name) : undefined;
    if (parent.childCount(name) > 1 && node.kind !== "unused") {
      const message = `${name} is given twice; the first counts.`;
      this.#options.problems.add(parent.child(name, 1), "warning", "given-twice", message, "Keep one of them.");
    }
    if (found && "notFollowed" in node) this.#noteNotFollowed(found, node.notFollowed ?? "");
    switch (node.kind) {
      case "scalar":
        return found ? this.#readScalar(found, node) : this.#missingScalar(parent.child(name), node, isEnforced);
      case "group":
        if (found) return this.#readGroup(found, node, isEnforced && node.isRequired);
        if (node.isRequired) this.#missing(parent.child(name), isEnforced);
        return undefined;
      case "unused":
        if (found) this.#noteUnused(found);
        return undefined;
      default:
        return node satisfies never;
    }
  }

  #readList(parent: ElementPlace, name: string, { item, ...node }: ListNode, isEnforced: boolean): unknown[] {
    if (item.kind === "group") this.#include(parent, name, true);
    const count = parent.childCount(name);
    if (count === 0 && node.isRequired) {
      const mayLack = node.isAssumedForOldFiles && this.#options.isOldFile;
      this.#missing(parent.child(name), isEnforced && !mayLack);
    }
    return Array.from({ length: count }, (_, index) => {
      const place = parent.item(name, index);
      return item.kind === "scalar" ? this.#readScalar(place, item) : this.#readGroup(place, item, true);
    });
  }

  #readScalar(place: ElementPlace, node: ScalarNode<unknown>): unknown {
    const { problems } = this.#options;
    const { element } = place;
    const report: Report = (severity, code, message, remedy) => problems.add(place, severity, code, message, remedy);
    for (const { name, line, file } of element.children.slice(0, 1)) {
      const path = `${place.path}/${name}`;
      problems.add(
        { path, file, line },
        "error",
        "unknown-element",
        `Unknown element ${path}.`,
        "A text belongs here.",
      );
    }
    if (node.belongsIn !== undefined) {
      const home = `${node.belongsIn}/${element.name}`;
      report("warning", "moved-element", `${element.name} is read as if it stood in ${home}.`, `Move it to ${home}.`);
    }
    return node.read(this.#expand(element.text, report), report);
  }

  #expand(text: string, report: Report): string {
    return expandMacros(text, this.#options.macros, (macro, isUnset) => {
      if (isUnset) {
        const remedy = "Set it, or give a default: ${env:NAME:default}.";
        report("warning", "unset-variable", `${macro} is not set and reads as empty.`, remedy);
      } else {
        report("warning", "unknown-macro", `${macro} stands for nothing and is left as it is.`, "Use ${env:NAME}.");
      }
    });
  }

  #missingScalar(place: ElementPlace, node: ScalarNode<unknown>, isEnforced: boolean): unknown {
    if (!node.isRequired) return node.fallback;
    const mayAssume = node.assumed !== undefined && (!node.isAssumedForOldFiles || this.#options.isOldFile);
    if (!mayAssume) {
      this.#missing(place, isEnforced);
      return node.fallback;
    }
    const message = `${place.path} is missing; ${JSON.stringify(node.assumed)} is assumed.`;
    const remedy = "Add the element: OvenMediaEngine refuses the file without it.";
    this.#options.problems.add(place, "warning", "missing-element", message, remedy);
    return node.assumed;
  }

  #missing(place: ElementPlace, isEnforced: boolean): void {
    const message = isEnforced ? `${place.path} is required.` : `${place.path} is missing and has no default.`;
    const severity = isEnforced ? "error" : "warning";
    this.#options.problems.add(place, severity, "missing-element", message, "Add the element.");
  }

  /** Hands `place` its children by name, without the ignored ones; what the schema does not know is reported. */
  #sortChildren(place: ElementPlace, node: GroupNode): void {
    for (const child of place.element.children) {
      const known = Object.hasOwn(node.children, child.name) ? node.children[child.name] : undefined;
      if (this.#isIgnored(child) && !(known?.kind === "group" && known.isReadWhenIgnored)) continue;
      if (known) place.addChild(child);
      else if (node.restOf !== undefined) this.#noteRest(place, node.restOf);
      else this.#reportUnknown(place, child, node);
    }
    const stray = place.element.text.trim();
    if (stray === "") return;
    const message = `The text ${JSON.stringify(stray.slice(0, 40))} has no meaning here.`;
    this.#options.problems.add(place, "warning", "stray-text", message, "Remove it, or put it into an element.");
  }

  #reportUnknown(parent: ElementPlace, { name, file, line }: XmlElement, node: GroupNode): void {
    const path = `${parent.path}/${name}`;
    const near = didYouMean(name, Object.keys(node.children));
    const remedy = near === undefined ? 'Remove it, or mark it ignore="true".' : `Did you mean <${near}>?`;
    this.#options.problems.add({ path, file, line }, "error", "unknown-element", `Unknown element ${path}.`, remedy);
  }

  #isIgnored(element: XmlElement): boolean {
    const value = element.attributes.get("ignore");
    return value !== undefined && expandMacros(value, this.#options.macros, () => {}) === "true";
  }

  /** Puts the roots of other files in place of children with `include="…"`. */
  #include(parent: ElementPlace, name: string, isList: boolean): void {
    parent.replaceChildren(name, (element) => {
      const pattern = element.attributes.get("include");
      if (pattern === undefined) return [element];
      const expanded = expandMacros(pattern, this.#options.macros, () => {});
      return this.#options.include(element, expanded, `${parent.path}/${name}`, isList);
    });
  }

  #noteUnused(place: ElementPlace): void {
    const shape = this.#firstOfShape(place);
    if (shape === undefined) return;
    const message = `${shape} is not used by Hearth.`;
    this.#options.problems.add(place, "warning", "not-used", message, "Nothing needs to be done.");
  }

  /** One line for all that stands below `name` and is not used. */
  #noteRest({ path: whole, file, line }: ElementPlace, name: string): void {
    const path = whole.slice(0, whole.indexOf(`/${name}`) + name.length + 1);
    const shape = path.replace(/\[\d+\]/g, "");
    if (this.#shapesSeen.has(shape)) return;
    this.#shapesSeen.add(shape);
    const message = `${shape} is used by Hearth for its subtitles alone.`;
    this.#options.problems.add({ path, file, line }, "warning", "not-used", message, "Nothing needs to be done.");
  }

  #noteNotFollowed(place: ElementPlace, reason: string): void {
    const shape = this.#firstOfShape(place);
    if (shape === undefined) return;
    const message = `${shape} is understood, but not followed: ${reason}`;
    this.#options.problems.add(
      place,
      "warning",
      "not-followed",
      message,
      "Remove the element, or leave it for OvenMediaEngine.",
    );
  }

  /** The path without numbers, the first time it is met. */
  #firstOfShape(place: ElementPlace): string | undefined {
    const shape = place.path.replace(/\[\d+\]/g, "");
    if (this.#shapesSeen.has(shape)) return undefined;
    this.#shapesSeen.add(shape);
    return shape;
  }
}
