import { buildConfig, type ServerValue } from "./build-config.ts";
import { IncludeResolver, type ReadInclude } from "./include.ts";
import type { MacroValues } from "./macros.ts";
import { XmlError, type Problem } from "./problem.ts";
import { SchemaReader } from "./read-schema.ts";
import type { ServerConfig } from "./server-config.ts";
import { serverSchema } from "./server-schema.ts";
import { parseXml, type XmlElement } from "./xml.ts";

export interface ParseServerXmlOptions extends MacroValues {
  /** Of the file, for messages and as the base of relative paths. */
  readonly path: string;
  /** Reads what an `include="…"` names; without it includes are errors. */
  readonly readInclude?: ReadInclude | undefined;
}

export interface ParsedServerXml {
  /** Undefined when any problem is an error. */
  readonly config: ServerConfig | undefined;
  /** In order of the file. */
  readonly problems: readonly Problem[];
}

/** What the linter sees besides the configuration: values with their places. */
export interface ReadServerXml extends ParsedServerXml {
  readonly value: ServerValue | undefined;
}

/**
 * Reads a Server.xml of OvenMediaEngine, versions 8 to 10, or the older shape of its documentation. Never throws:
 * whatever is wrong or odd is a problem with its place and a remedy.
 */
export function parseServerXml(text: string, options: ParseServerXmlOptions): ParsedServerXml {
  const { config, problems } = readServerXml(text, options);
  return { config, problems };
}

/** As {@link parseServerXml}, and with the values as they stand in the file. */
export function readServerXml(text: string, options: ParseServerXmlOptions): ReadServerXml {
  const problems: Problem[] = [];
  const root = readRoot(text, options.path, problems);
  if (!root) return { config: undefined, problems, value: undefined };
  const version = readVersion(root, problems);
  const includes = new IncludeResolver(options.readInclude, text.length, problems);
  const reader = new SchemaReader({
    macros: options,
    isOldFile: version < oldestCurrentVersion,
    include: (element, pattern, path, isList) => includes.resolve(element, pattern, path, isList),
    problems,
  });
  const value = reader.readRoot(root, serverSchema);
  problems.sort((a, b) => (a.file === b.file ? a.line - b.line : 0));
  const isUsable = problems.every(({ severity }) => severity === "warning");
  return { config: isUsable ? buildConfig(value) : undefined, problems, value };
}

const oldestCurrentVersion = 8;
const newestVersion = 10;
/** Of the documentation whose examples still go round. */
const oldestReadableVersion = 5;

function readRoot(text: string, path: string, problems: Problem[]): XmlElement | undefined {
  try {
    const root = parseXml(text, path);
    if (root.name === "Server") return root;
    const message = `The root element is <${root.name}>, not <Server>.`;
    problems.push(error("bad-root", root.name, root, message, "Give the file whose root element is <Server>."));
  } catch (thrown) {
    if (!(thrown instanceof XmlError)) throw thrown;
    const { code, line, message, remedy } = thrown;
    problems.push(error(code, "", { file: path, line }, message, remedy));
  }
  return undefined;
}

function error(
  code: string,
  path: string,
  at: { file: string; line: number },
  message: string,
  remedy: string,
): Problem {
  return { severity: "error", code, path, file: at.file, line: at.line, message, remedy };
}

/** The version, or the newest one where it says nothing usable. */
function readVersion(root: XmlElement, problems: Problem[]): number {
  const written = root.attributes.get("version");
  const path = "Server/@version";
  const remedy = `Write <Server version="8">.`;
  if (written === undefined) {
    problems.push(error("missing-version", path, root, "Server.version is required.", remedy));
    return newestVersion;
  }
  const version = Number.parseInt(written, 10);
  if (!(version >= oldestReadableVersion && version <= newestVersion)) {
    problems.push(error("bad-version", path, root, `Version ${JSON.stringify(written)} cannot be read.`, remedy));
    return newestVersion;
  }
  if (version < oldestCurrentVersion) {
    const message = `Version ${version} is of older documentation; OvenMediaEngine refuses it, Hearth reads what it knows.`;
    problems.push({ ...error("old-version", path, root, message, remedy), severity: "warning" });
  }
  return version;
}
