import type { ProblemCode } from "./problem-codes.ts";

/** What a person should know about a configuration file. An error keeps it from loading; a warning does not. */
export interface Problem {
  readonly severity: "error" | "warning";
  /** Stable word to match on: listed with its meaning in docs/server-xml.md. */
  readonly code: ProblemCode;
  /** Where in the document: `Server/VirtualHosts/VirtualHost[2]/Origins/Origin[1]/Pass/Scheme`; lists count from 1. */
  readonly path: string;
  readonly file: string;
  /** Counts from 1. */
  readonly line: number;
  readonly message: string;
  /** What to do about it. */
  readonly remedy: string;
}

/** How a text cannot be read at all: no tree comes out of it. */
export class XmlError extends Error {
  override readonly name = "XmlError";
  readonly code: ProblemCode;
  readonly line: number;
  readonly remedy: string;

  constructor(code: ProblemCode, line: number, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.line = line;
    this.remedy = remedy;
  }
}

/** A text that is not well formed, with the remedy of them all. */
export function notWellFormed(line: number, message: string): XmlError {
  return new XmlError("not-well-formed", line, message, "Correct the XML here: nothing of the file was read.");
}
