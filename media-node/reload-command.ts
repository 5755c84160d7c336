import { parseArgs } from "node:util";
import { loadConfig } from "./config-commands.ts";
import type { ReloadOutcome } from "./config-reload.ts";
import { messageOf, SettingError } from "./flow/errors.ts";

/**
 * `hearth reload --config Server.xml [--json]`: has the node on this machine read its file again, by its operators' port.
 * `HEARTH_OPERATOR_TOKEN` is sent where it is set.
 * @returns what to print and the exit code: 0 when the file is in force now, 1 when the former one holds
 * @throws {SettingError} when the node cannot be asked
 */
export async function runReload(args: string[]): Promise<{ readonly output: string; readonly exitCode: number }> {
  const { values } = parseArgs({
    args,
    options: { config: { type: "string" }, port: { type: "string" }, json: { type: "boolean" } },
  });
  const port = portOf(values);
  const token = process.env["HEARTH_OPERATOR_TOKEN"];
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer: Response;
  try {
    answer = await fetch(`http://127.0.0.1:${port}/-/reload`, { method: "POST", headers });
  } catch (cause) {
    const remedy = "is the node running, and is this its OperatorPort?";
    throw new SettingError(`No node answers at port ${port} of this machine: ${remedy} (${messageOf(cause)})`, {
      cause,
    });
  }
  if (answer.status !== 200 && answer.status !== 422) {
    throw new SettingError(`The node refuses (${answer.status}): ${(await answer.text()).trim()}`);
  }
  const outcome = (await answer.json()) as ReloadOutcome;
  const exitCode = outcome.isTaken ? 0 : 1;
  return { output: values.json ? `${JSON.stringify(outcome, null, 2)}\n` : printOutcome(outcome), exitCode };
}

function portOf({
  config,
  port,
}: {
  readonly config?: string | undefined;
  readonly port?: string | undefined;
}): number {
  if (port !== undefined && /^\d{1,5}$/.test(port)) return Number(port);
  if (config === undefined) throw new SettingError("Which node? hearth reload --config Server.xml, or --port N");
  // A file that is wrong may still say where the node is; one that does not load at all needs --port.
  const { operatorPort } = loadConfig(config, () => {}).hearth;
  if (operatorPort) return operatorPort;
  throw new SettingError(`${config} has no Hearth/OperatorPort: send the node SIGHUP, or give --port.`);
}

function printOutcome({ isTaken, generation, changes, needRestart, errors }: ReloadOutcome): string {
  const lines = errors.map(
    ({ file, line, path, message, remedy }) => `${file}:${line}: error: ${message}\n    at ${path}\n    ${remedy}`,
  );
  if (isTaken) lines.push(...(changes.length > 0 ? changes : ["nothing changed"]));
  for (const path of needRestart) lines.push(`${path} takes effect when the node is started again`);
  const verdict = isTaken ? `Configuration ${generation} is in force.` : "Not taken: the former configuration holds.";
  return `${[...lines, verdict].join("\n")}\n`;
}
