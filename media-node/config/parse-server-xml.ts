import { buildConfig } from "./build-config.ts";
import { IncludeResolver, type ReadInclude } from "./include.ts";
import { lintServer } from "./lint.ts";
import type { MacroValues } from "./macros.ts";
import { XmlError, type Problem } from "./problem.ts";
import { ProblemList } from "./problem-list.ts";
import { SchemaReader } from "./read-schema.ts";
import type { ServerConfig } from "./server-config.ts";
import { serverSchema } from "./server-schema.ts";
import { parseXml, type XmlElement } from "./xml.ts";

export interface ParseServerXmlOptions extends MacroValues {
  /** Of the file, for messages and as the base of relative paths. */
  readonly path: string;
  /** Reads what an `include="…"` names; without it includes are errors. */
  readonly readInclude?: ReadInclude | undefined;
  /** Whether there is such a file; without it nothing is said of files that are named. */
  readonly hasFile?: ((path: string) => boolean) | undefined;
}

export interface ParsedServerXml {
  /** Undefined when any problem is an error. */
  readonly config: ServerConfig | undefined;
  /** In order of the file. */
  readonly problems: readonly Problem[];
}

/**
 * Reads a Server.xml of OvenMediaEngine, versions 8 to 10, or the older shape of its documentation. Never throws:
 * whatever is wrong or odd is a problem with its place and a remedy.
 */
export function parseServerXml(text: string, options: ParseServerXmlOptions): ParsedServerXml {
  const problems = new ProblemList();
  const root = readRoot(text, options.path, problems);
  if (!root) return { config: undefined, problems: problems.sorted() };
  const version = readVersion(root, problems);
  const includes = new IncludeResolver(options.readInclude, text.length, problems);
  const reader = new SchemaReader({
    macros: options,
    isOldFile: version < oldestCurrentVersion,
    include: (element, pattern, path, isList) => includes.resolve(element, pattern, path, isList),
    problems,
  });
  const value = reader.readRoot(root, serverSchema);
  const config = buildConfig(value);
  lintServer(value, config, problems, options.hasFile);
  return { config: problems.hasErrors ? undefined : config, problems: problems.sorted() };
}

const oldestCurrentVersion = 8;
const newestVersion = 10;
/** Of the documentation whose examples still go round. */
const oldestReadableVersion = 5;

function readRoot(text: string, file: string, problems: ProblemList): XmlElement | undefined {
  try {
    const root = parseXml(text, file, (line, code, message, remedy) =>
      problems.add({ path: "", file, line }, "warning", code, message, remedy),
    );
    if (root.name === "Server") return root;
    const message = `The root element is <${root.name}>, not <Server>.`;
    const remedy = "Give the file whose root element is <Server>.";
    problems.add({ path: root.name, file, line: root.line }, "error", "bad-root", message, remedy);
  } catch (thrown) {
    if (!(thrown instanceof XmlError)) throw thrown;
    problems.add({ path: "", file, line: thrown.line }, "error", thrown.code, thrown.message, thrown.remedy);
  }
  return undefined;
}

/** The version, or the newest one where it says nothing usable. */
function readVersion({ attributes, file, line }: XmlElement, problems: ProblemList): number {
  const written = attributes.get("version");
  const version = Number.parseInt(written ?? "", 10);
  const at = { path: "Server/@version", file, line };
  const remedy = `Write <Server version="8">.`;
  if (written === undefined) {
    problems.add(at, "error", "missing-version", "Server.version is required.", remedy);
  } else if (!(version >= oldestReadableVersion && version <= newestVersion)) {
    problems.add(at, "error", "bad-version", `Version ${JSON.stringify(written)} cannot be read.`, remedy);
  } else {
    if (version >= oldestCurrentVersion) return version;
    const message = `Version ${version} is of older documentation; OvenMediaEngine refuses it, Hearth reads what it knows.`;
    problems.add(at, "warning", "old-version", message, remedy);
    return version;
  }
  return newestVersion;
}
