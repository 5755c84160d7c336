/** What a person should know about a configuration file. An error keeps it from loading; a warning does not. */
export interface Problem {
  readonly severity: "error" | "warning";
  /** Stable word to match on: `unknown-element`, `missing-element`, `bad-value`, … Listed in docs/server-xml.md. */
  readonly code: string;
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
  readonly code: string;
  readonly line: number;
  readonly remedy: string;

  constructor(code: string, line: number, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.line = line;
    this.remedy = remedy;
  }
}
