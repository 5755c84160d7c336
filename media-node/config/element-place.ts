import type { Place } from "./schema.ts";
import type { XmlElement } from "./xml.ts";

const none: readonly XmlElement[] = [];

/** One element and where it stands. Paths are put together only when somebody asks: few elements have problems. */
export class ElementPlace implements Place {
  readonly element: XmlElement;
  readonly #parent: ElementPlace | undefined;
  readonly #name: string;
  /** From 1 in a list; 0 for an element that stands alone. */
  readonly #index: number;
  /** Made for the first child: most places have none. */
  #children: Map<string, XmlElement[]> | undefined;

  constructor(parent: ElementPlace | undefined, name: string, index: number, element: XmlElement) {
    this.#parent = parent;
    this.#name = name;
    this.#index = index;
    this.element = element;
  }

  get path(): string {
    const step = this.#index > 0 ? `${this.#name}[${this.#index}]` : this.#name;
    return this.#parent ? `${this.#parent.path}/${step}` : step;
  }

  get file(): string {
    return this.element.file;
  }

  get line(): number {
    return this.element.line;
  }

  addChild(element: XmlElement): void {
    this.#children ??= new Map();
    const same = this.#children.get(element.name);
    if (same) same.push(element);
    else this.#children.set(element.name, [element]);
  }

  replaceChildren(name: string, replace: (element: XmlElement) => readonly XmlElement[]): void {
    const children = this.#children?.get(name);
    if (children?.some(({ attributes }) => attributes.size > 0)) this.#children?.set(name, children.flatMap(replace));
  }

  childCount(name: string): number {
    return (this.#children?.get(name) ?? none).length;
  }

  has(name: string): boolean {
    return this.childCount(name) > 0;
  }

  /** The child that stands alone; an absent one stands where its parent does. */
  child(name: string, occurrence = 0): ElementPlace {
    return new ElementPlace(this, name, 0, this.#children?.get(name)?.[occurrence] ?? this.element);
  }

  item(name: string, index: number): ElementPlace {
    return new ElementPlace(this, name, index + 1, this.#children?.get(name)?.[index] ?? this.element);
  }
}
