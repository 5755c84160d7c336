import type { ProblemCode } from "./problem-codes.ts";
import type { ServerValue } from "./build-config.ts";
import { lintAccess } from "./lint-access.ts";
import { lintDelivery } from "./lint-delivery.ts";
import { lintNames } from "./lint-names.ts";
import { lintPorts } from "./lint-ports.ts";
import { lintRules } from "./lint-rules.ts";
import { lintStores } from "./lint-stores.ts";
import type { ProblemList, ProblemPlace } from "./problem-list.ts";
import type { ServerConfig } from "./server-config.ts";

/** What a check is given: the values with their places, and the configuration that follows from them, in equal order. */
export interface LintInput {
  readonly value: ServerValue;
  readonly config: ServerConfig;
  readonly warn: (at: ProblemPlace, code: ProblemCode, message: string, remedy: string) => void;
  /** Whether there is such a file; says so of every file where nobody can look. */
  readonly hasFile: (path: string) => boolean;
  readonly fail: (at: ProblemPlace, code: ProblemCode, message: string, remedy: string) => void;
}

/** Finds what loads and yet cannot work, is unlikely to be meant, or is not safe. */
export function lintServer(
  value: ServerValue,
  config: ServerConfig,
  problems: ProblemList,
  hasFile: LintInput["hasFile"] = () => true,
): void {
  const input: LintInput = {
    value,
    config,
    hasFile,
    warn: (at, code, message, remedy) => problems.add(at, "warning", code, message, remedy),
    fail: (at, code, message, remedy) => problems.add(at, "error", code, message, remedy),
  };
  lintNames(input);
  lintRules(input);
  lintStores(input);
  lintAccess(input);
  lintDelivery(input);
  lintPorts(input);
}
