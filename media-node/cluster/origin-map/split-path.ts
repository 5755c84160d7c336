/** A viewer's path, taken apart: `/app/stream/file`. */
export interface SplitPath {
  readonly app: string;
  readonly stream: string;
  readonly file: string;
}

/**
 * Takes a request path apart as router and nodes agree: by `/`, nothing decoded, nothing normalised, case kept. What
 * follows the third segment is left out; what is missing is `""`.
 * @param path without query, beginning with `/`; hand in the raw request target, not `URL.pathname`, which resolves dots
 */
export function splitPath(path: string): SplitPath {
  const [, app = "", stream = "", file = ""] = path.split("/", 4);
  return { app, stream, file };
}

/** Longer names fit no store key, no label and no player. */
export const maxNameLength = 255;

/**
 * Why a name must not go on to rules, stores and origins; undefined when it may. Empty names, control characters,
 * blanks, `@` and what could end a path are refused: they could be read as something else by whoever parses the URL
 * after us.
 */
export function nameProblem(kind: "app" | "stream", name: string): string | undefined {
  if (name === "") return `the ${kind} has no name`;
  if (name.length > maxNameLength) return `the ${kind}'s name is longer than ${maxNameLength} characters`;
  if (/[\p{Cc}\p{Z}@\\/?#]/u.test(name)) return `the ${kind}'s name holds a forbidden character`;
  return undefined;
}
