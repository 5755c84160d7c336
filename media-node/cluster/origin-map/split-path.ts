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
  const app = path.indexOf("/") + 1;
  const stream = app === 0 ? 0 : path.indexOf("/", app) + 1;
  const file = stream === 0 ? 0 : path.indexOf("/", stream) + 1;
  const end = file === 0 ? -1 : path.indexOf("/", file);
  return {
    app: app === 0 ? "" : path.slice(app, stream === 0 ? undefined : stream - 1),
    stream: stream === 0 ? "" : path.slice(stream, file === 0 ? undefined : file - 1),
    file: file === 0 ? "" : path.slice(file, end < 0 ? undefined : end),
  };
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
