import type { ProblemCode } from "./problem-codes.ts";
import type { Problem } from "./problem.ts";

/** Where a problem stands. */
export interface ProblemPlace {
  readonly path: string;
  readonly file: string;
  readonly line: number;
}

/** More than anyone reads of one severity. */
const maxKept = 1_000;

/** Problems as they are found: bounded in number, without forgetting that there was an error. */
export class ProblemList {
  readonly #kept: Problem[] = [];
  readonly #counts = { error: 0, warning: 0 };

  add(at: ProblemPlace, severity: Problem["severity"], code: ProblemCode, message: string, remedy: string): void {
    const count = ++this.#counts[severity];
    const { path, file, line } = at;
    if (count <= maxKept) this.#kept.push({ severity, code, path, file, line, message, remedy });
  }

  get hasErrors(): boolean {
    return this.#counts.error > 0;
  }

  /** By file and line; a last one tells how many more there were. */
  sorted(): readonly Problem[] {
    const files = [...new Set(this.#kept.map(({ file }) => file))];
    const sorted = this.#kept.toSorted((a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line);
    const last = sorted.at(-1);
    const more = this.#counts.error + this.#counts.warning - sorted.length;
    if (!last || more <= 0) return sorted;
    return [
      ...sorted,
      {
        ...last,
        severity: this.#counts.error > maxKept ? "error" : "warning",
        code: "more-problems",
        message: `There are ${more} more problems.`,
        remedy: "Correct these first.",
      },
    ];
  }
}
