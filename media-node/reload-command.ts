import { parseArgs } from "node:util";
import { OperatorsDoor } from "./ask-node.ts";
import type { ReloadOutcome } from "./config-reload.ts";

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
  const answer = await new OperatorsDoor("reload", values).ask("POST", "/-/reload", [200, 422]);
  const outcome = (await answer.json()) as ReloadOutcome;
  const exitCode = outcome.isTaken ? 0 : 1;
  return { output: values.json ? `${JSON.stringify(outcome, null, 2)}\n` : printOutcome(outcome), exitCode };
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
