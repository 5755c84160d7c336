import { existsSync, globSync, readFileSync } from "node:fs";
import { hostname } from "node:os";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { checkServerXml } from "./config/check.ts";
import { explainRequest, printExplanation } from "./config/explain.ts";
import { parseServerXml, type ParsedServerXml, type ParseServerXmlOptions } from "./config/parse-server-xml.ts";
import type { ServerConfig } from "./config/server-config.ts";
import { messageOf, SettingError } from "./flow/errors.ts";
import { silentLogger } from "./flow/logger.ts";
import { openStores } from "./store-wiring.ts";
import { systemClock } from "./time/clock.ts";

/**
 * `hearth check Server.xml [--json] [--strict]`.
 * @returns what to print and the exit code: 0 usable, 1 not (or, with `--strict`, warned about)
 * @throws {SettingError} when the file cannot be read or the arguments make no sense
 */
export function runCheck(args: string[]): { readonly output: string; readonly exitCode: number } {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { config: { type: "string" }, json: { type: "boolean" }, strict: { type: "boolean" } },
  });
  const path = positionals[0] ?? values.config;
  if (path === undefined || positionals.length > 1) throw new SettingError("Which file? hearth check Server.xml");
  const { text, options } = readFiles(path);
  return checkServerXml(text, { ...options, asJson: values.json, isStrict: values.strict });
}

/**
 * `hearth explain URL --config Server.xml [--json]`. Asks the OriginMapStore that the file (or `REDIS_URL`) names.
 * @returns what to print and the exit code: 0 when there is something to serve or to pull, 1 when not
 * @throws {SettingError} when the file cannot be used or the arguments make no sense
 */
export async function runExplain(args: string[]): Promise<{ readonly output: string; readonly exitCode: number }> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { config: { type: "string" }, json: { type: "boolean" } },
  });
  const [url] = positionals;
  if (url === undefined || positionals.length > 1 || values.config === undefined) {
    throw new SettingError("hearth explain http://host/app/stream --config Server.xml");
  }
  const config = loadConfig(values.config, () => {});
  // A store's own timers do not keep a process alive, and here nothing else does.
  const keepAlive = setInterval(() => {}, 60_000);
  const stores = await openStores(config, process.env["REDIS_URL"], { clock: systemClock, logger: silentLogger });
  try {
    const explanation = await explainRequest(url, config, {
      nowMs: systemClock.wallMs(),
      lookupStore: async (name) => (await stores.storeOf(name.vhost)?.lookup(name)) ?? [],
    });
    const output = values.json ? `${JSON.stringify(explanation, null, 2)}\n` : printExplanation(explanation);
    return { output, exitCode: ["serve", "pull"].includes(explanation.decision) ? 0 : 1 };
  } finally {
    await stores.close();
    clearInterval(keepAlive);
  }
}

/**
 * Reads a Server.xml with the files it includes.
 * @param print gets one line for each thing that is wrong or odd
 * @throws {SettingError} when it cannot be used
 */
export function loadConfig(path: string, print: (line: string) => void): ServerConfig {
  const { config, problems } = readServerXml(path);
  for (const { file, line, severity, message, remedy } of problems) {
    print(`${file}:${line}: ${severity}: ${message} ${remedy}`);
  }
  if (!config) throw new SettingError(`${path} cannot be used: hearth check ${path} says why.`);
  return config;
}

/**
 * Reads and judges a Server.xml with the files it includes.
 * @throws {SettingError} when the file cannot be read
 */
export function readServerXml(path: string): ParsedServerXml {
  const { text, options } = readFiles(path);
  return parseServerXml(text, options);
}

function readFiles(path: string): { text: string; options: ParseServerXmlOptions } {
  const read = (file: string): string => readFileSync(file, "utf8");
  let text: string;
  try {
    text = read(path);
  } catch (cause) {
    throw new SettingError(`Cannot read ${path}: ${whyUnread(cause)}`, { cause });
  }
  const readInclude = (pattern: string, from: string) =>
    globSync(join(dirname(from), pattern)).map((file) => ({ path: file, text: read(file) }));
  const macros = { env: process.env, hostname: hostname(), currentDirectory: process.cwd() };
  return { text, options: { path, ...macros, readInclude, hasFile: existsSync } };
}

function whyUnread(cause: unknown): string {
  const code: unknown = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code === "ENOENT") return `there is no such file (this is ${process.cwd()}).`;
  if (code === "EACCES") return "this user may not read it; run the command as root or as the node's user.";
  if (code === "EISDIR") return "it is a folder; name the Server.xml in it.";
  return messageOf(cause);
}
