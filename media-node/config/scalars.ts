import type { Report, ScalarNode } from "./schema.ts";

type Presence<T> =
  | { readonly isRequired: true; readonly assumed?: T; readonly isAssumedForOldFiles?: boolean }
  | { readonly fallback: T }
  | Record<string, never>;

function scalar<T>(
  type: string,
  doc: string,
  presence: Presence<T>,
  missing: T,
  read: (text: string, report: Report) => T,
): ScalarNode<T> {
  if (!("isRequired" in presence)) {
    const fallback = "fallback" in presence ? presence.fallback : missing;
    return { kind: "scalar", type, doc, isRequired: false, fallback, read };
  }
  const { assumed, isAssumedForOldFiles } = presence;
  return { kind: "scalar", type, doc, isRequired: true, fallback: missing, assumed, isAssumedForOldFiles, read };
}

function reportBlanks(text: string, report: Report): void {
  if (text === text.trim() || text.trim() === "") return;
  report(
    "warning",
    "blanks",
    `Blanks around ${JSON.stringify(text.trim())} belong to the value.`,
    "Write the value directly between the tags.",
  );
}

/** Any text, blanks included, as OvenMediaEngine takes it. */
export function text(doc: string, presence?: Record<string, never>): ScalarNode<string | undefined>;
export function text(doc: string, presence: Presence<string>): ScalarNode<string>;
export function text(
  doc: string,
  presence: Presence<string> = {},
): ScalarNode<string> | ScalarNode<string | undefined> {
  const isOptional = !("isRequired" in presence) && !("fallback" in presence);
  return scalar<string | undefined>("text", doc, presence, isOptional ? undefined : "", (value, report) => {
    reportBlanks(value, report);
    return value;
  });
}

/** One of a few words, exactly as written here. */
export function choice<const V extends string>(
  doc: string,
  values: readonly V[],
  presence: Presence<V>,
  explain: (value: string) => string,
): ScalarNode<V> {
  return scalar<V>(values.join(" | "), doc, presence, values[0]!, (value, report) => {
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) report("error", "bad-value", explain(value), `Write ${values.join(" or ")}.`);
    return found ?? values[0]!;
  });
}

export interface NumberRange {
  readonly fallback: number;
  readonly min?: number;
  readonly max?: number;
}

/** A whole number as OvenMediaEngine reads it: by its leading digits. Whatever differs from plain digits is reported. */
export function integer(doc: string, range: NumberRange, type = "number"): ScalarNode<number> {
  return scalar(type, doc, { fallback: range.fallback }, range.fallback, (value, report) =>
    readNumber(value, /^\s*[+-]?\d+/, type, range, report),
  );
}

/** Seconds, fractions allowed. */
export function seconds(doc: string, range: NumberRange): ScalarNode<number> {
  return scalar("seconds", doc, { fallback: range.fallback }, range.fallback, (value, report) =>
    readNumber(value, /^\s*[+-]?(?:\d+\.?\d*|\.\d+)/, "seconds", range, report),
  );
}

export function milliseconds(doc: string, range: NumberRange): ScalarNode<number> {
  return integer(doc, range, "milliseconds");
}

const unitRemedies: Readonly<Record<string, string>> = {
  milliseconds: "Write milliseconds without a unit: 60000 for one minute.",
  seconds: "Write seconds without a unit.",
  number: "Write plain digits.",
};

function readNumber(value: string, prefix: RegExp, type: string, range: NumberRange, report: Report): number {
  const { fallback, min = 0, max = Number.MAX_SAFE_INTEGER } = range;
  const remedy = unitRemedies[type] ?? "Write plain digits.";
  const digits = prefix.exec(value)?.[0];
  const number = digits === undefined ? Number.NaN : Number(digits);
  if (!Number.isFinite(number)) {
    const what = value.trim() === "" ? "The element is empty" : `${JSON.stringify(value)} is not a number`;
    report("warning", "bad-number", `${what}; the default ${fallback} is used (OvenMediaEngine reads 0).`, remedy);
    return fallback;
  }
  if (digits!.trim() !== value.trim()) {
    report("warning", "number-with-rest", `${JSON.stringify(value)} is read as ${number} ${type}.`, remedy);
  }
  const clamped = Math.min(max, Math.max(min, number));
  if (clamped !== number) {
    report("warning", "out-of-range", `${number} is out of range; ${clamped} is used.`, `Choose ${min} to ${max}.`);
  }
  return clamped;
}

/** `true` or `false` in any case, else a number that is not 0. `yes` is false, as in OvenMediaEngine, and reported. */
export function flag(doc: string, fallback: boolean): ScalarNode<boolean> {
  return scalar("flag", doc, { fallback }, fallback, readFlag);
}

/** A flag of which it matters whether it was given. */
export function optionalFlag(doc: string): ScalarNode<boolean | undefined> {
  return scalar<boolean | undefined>("flag", doc, {}, undefined, readFlag);
}

/** A flag that does nothing, which is said where it is on. @param reason why, as the end of a sentence */
export function notOfferedFlag(doc: string, reason: string): ScalarNode<boolean> {
  return scalar("flag", `${doc} Not offered: ${reason}.`, { fallback: false }, false, (value, report) => {
    const isOn = readFlag(value, report);
    if (isOn) report("warning", "not-followed", `It is not offered: ${reason}.`, "Write false, or remove the element.");
    return isOn;
  });
}

/** A flag that older documentation showed beside the element it belongs in. */
export function movedFlag(doc: string, belongsIn: string): ScalarNode<boolean | undefined> {
  return { ...optionalFlag(doc), belongsIn };
}

function readFlag(value: string, report: Report): boolean {
  const word = value.toLowerCase();
  if (word === "true" || word === "false") return word === "true";
  const number = Number.parseInt(value, 10);
  const flag = Number.isFinite(number) && number !== 0;
  if (!/^-?\d+$/.test(value)) {
    report("warning", "bad-flag", `${JSON.stringify(value)} is read as ${flag}.`, "Write true or false.");
  }
  return flag;
}

/** A comma-separated list of words, compared in lower case. */
export function words(doc: string): ScalarNode<readonly string[]> {
  return scalar<readonly string[]>("words, comma-separated", doc, { fallback: [] }, [], (value) =>
    value
      .split(",")
      .map((word) => word.trim().toLowerCase())
      .filter((word) => word !== ""),
  );
}
