import { parseServerXml, type ParseServerXmlOptions } from "./parse-server-xml.ts";
import type { Problem } from "./problem.ts";

export interface CheckOptions extends ParseServerXmlOptions {
  /** One JSON object instead of text. */
  readonly asJson?: boolean | undefined;
  /** Warnings fail the check, too; what is merely not used does not. */
  readonly isStrict?: boolean | undefined;
}

export interface CheckResult {
  /** To be printed; ends with a line feed. */
  readonly output: string;
  /** 0: a node would start with it. 1: it would not, or `isStrict` found a warning. */
  readonly exitCode: 0 | 1;
}

/**
 * `hearth check`: all that can be said about a Server.xml without starting anything. The JSON form is
 * `{"file", "isUsable", "errors", "warnings", "problems": Problem[]}`; its names are stable.
 */
export function checkServerXml(text: string, options: CheckOptions): CheckResult {
  const { config, problems } = parseServerXml(text, options);
  const errors = problems.filter(({ severity }) => severity === "error").length;
  const warnings = problems.filter(({ severity, code }) => severity === "warning" && code !== "not-used").length;
  const exitCode = config === undefined || (options.isStrict && warnings > 0) ? 1 : 0;
  if (options.asJson) {
    const answer = { file: options.path, isUsable: config !== undefined, errors, warnings, problems };
    return { output: `${JSON.stringify(answer, null, 2)}\n`, exitCode };
  }
  const verdict = config === undefined ? "cannot be used" : warnings > 0 ? "can be used" : "is in order";
  const summary = `${options.path} ${verdict}: ${count(errors, "error")}, ${count(warnings, "warning")}.`;
  return { output: [...problems.flatMap(printProblem), ...printUnused(problems), summary, ""].join("\n"), exitCode };
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

/** As compilers write it, so that editors find the place. */
function printProblem({ severity, code, path, file, line, message, remedy }: Problem): string[] {
  if (code === "not-used") return [];
  const where = path === "" ? "" : `\n    at ${path}`;
  return [`${file}:${line}: ${severity}: ${printable(message)} [${code}]${printable(where)}\n    ${remedy}`];
}

function printUnused(problems: readonly Problem[]): string[] {
  const unused = problems.filter(({ code }) => code === "not-used");
  if (unused.length === 0) return [];
  const paths = unused.map(({ path, line }) => `    ${path.replace(/\[\d+\]/g, "")} (line ${line})`);
  return [`Accepted, and not used by Hearth:\n${paths.join("\n")}`];
}

/** What a file says goes to a terminal: nothing in it may steer that. */
function printable(text: string): string {
  return text.replace(/[^\P{Cc}\n]/gu, "\uFFFD");
}
