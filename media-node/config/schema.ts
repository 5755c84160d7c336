/**
 * The words in which the schema of Server.xml is written (`server-schema.ts`). A schema is data: it reads files, and it
 * prints the reference page.
 */

import type { ProblemCode } from "./problem-codes.ts";

/** Says something about the value being read; the reader knows where it stands. */
export type Report = (severity: "error" | "warning", code: ProblemCode, message: string, remedy: string) => void;

/** An element that holds a text with a meaning. */
export interface ScalarNode<T> {
  readonly kind: "scalar";
  /** For the reference page: `milliseconds`, `flag`, … */
  readonly type: string;
  readonly doc: string;
  readonly isRequired: boolean;
  /** Used where the element is missing. */
  readonly fallback: T;
  /** Used, with a warning, where a required element is missing that Hearth can do without. */
  readonly assumed?: T | undefined;
  /** Only files of a version before 8 may leave it out. */
  readonly isAssumedForOldFiles?: boolean | undefined;
  /** Older documentation showed it here; it belongs in this element beside it. */
  readonly belongsIn?: string | undefined;
  /** Why the element is understood, and does nothing. */
  readonly notFollowed?: string | undefined;
  read(text: string, report: Report): T;
}

/** An element that holds elements. */
export interface GroupNode<C extends Children = Children> {
  readonly kind: "group";
  readonly doc: string;
  readonly isRequired: boolean;
  readonly children: C;
  /** Read although marked `ignore="true"`: what is ours and OvenMediaEngine must skip. */
  readonly isReadWhenIgnored: boolean;
  /**
   * Has many elements in OvenMediaEngine of which Hearth follows a few: what is not named here is accepted, and said once to be
   * unused, of the element of this name.
   */
  readonly restOf?: string | undefined;
  /** Why the element is understood, and does nothing. */
  readonly notFollowed?: string | undefined;
}

/** An element that may be there any number of times, in order. */
export interface ListNode<I extends ScalarNode<unknown> | GroupNode = ScalarNode<unknown> | GroupNode> {
  readonly kind: "list";
  readonly isRequired: boolean;
  /** Only files of a version before 8 may leave it out. */
  readonly isAssumedForOldFiles: boolean;
  readonly item: I;
}

/** An element that OvenMediaEngine has and Hearth does not: accepted with everything below it. */
export interface UnusedNode {
  readonly kind: "unused";
  readonly doc: string;
}

export type SchemaNode = ScalarNode<unknown> | GroupNode | ListNode | UnusedNode;
export type Children = { readonly [name: string]: SchemaNode };

/** What reading yields. `undefined` for a group that is absent. */
export type ValueOf<N> =
  N extends ScalarNode<infer T>
    ? T
    : N extends GroupNode<infer C>
      ? GroupValue<C> | undefined
      : N extends ListNode<infer I>
        ? readonly NonNullable<ValueOf<I>>[]
        : undefined;

/** The children's values by element name, and where the group itself stands. */
export type GroupValue<C extends Children> = { readonly [K in keyof C]: ValueOf<C[K]> } & { readonly $: Place };

/** Where something stands, for problems found later. */
export interface Place {
  readonly path: string;
  readonly file: string;
  readonly line: number;
  /** Whether a child of that name is there. */
  has(name: string): boolean;
  /** Where a child stands, or would stand. */
  child(name: string): Place;
  /** Where an item of a list stands; counts from 0. */
  item(name: string, index: number): Place;
}

export function group<const C extends Children>(
  doc: string,
  children: C,
  options: { isRequired?: boolean; isReadWhenIgnored?: boolean; restOf?: string } = {},
): GroupNode<C> {
  const { isRequired = false, isReadWhenIgnored = false, restOf } = options;
  return { kind: "group", doc, children, isRequired, isReadWhenIgnored, restOf };
}

export function list<I extends ScalarNode<unknown> | GroupNode>(
  item: I,
  options: { isRequired?: boolean; isAssumedForOldFiles?: boolean } = {},
): ListNode<I> {
  const { isRequired = false, isAssumedForOldFiles = false } = options;
  return { kind: "list", item, isRequired, isAssumedForOldFiles };
}

/** Marks what is read and checked, and not followed. @param reason why, as a sentence for an operator */
export function notFollowed<N extends ScalarNode<unknown> | GroupNode>(node: N, reason: string): N {
  return { ...node, notFollowed: reason };
}

export function unused(doc: string): UnusedNode {
  return { kind: "unused", doc };
}
