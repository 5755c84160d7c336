import assert from "node:assert/strict";
import {
  BadBridgeRequest,
  parseCommandBody,
  parseCommandsBody,
  toResult,
} from "../../media-node/stores/bridge/bridge-json.ts";
import { judgeCommand, type BridgeCommand } from "../../media-node/stores/bridge/bridge-policy.ts";

/** A body is commands of words or a bad request; whatever it asks, a reader never gets to write. */
export function fuzz(input: Uint8Array): void {
  const body = Buffer.from(input).toString();
  const commands = [...attempt(() => [parseCommandBody(body)]), ...attempt(() => parseCommandsBody(body))];
  for (const command of commands) {
    assert.ok(command.length > 0 && command.every((word) => typeof word === "string"));
    judgeCommand(command, false);
    const verdict = judgeCommand(command, true);
    if ("command" in verdict) assert.doesNotMatch(verdict.command[0]!, /^(set|del|eval_ro|evalsha.*|flush.*|script)$/i);
  }
  for (const isBase64 of [false, true]) {
    JSON.stringify(toResult({ reply: [Buffer.from(input), body, null, 1, [body]] }, isBase64));
  }
}

function attempt(parse: () => readonly BridgeCommand[]): readonly BridgeCommand[] {
  try {
    return parse();
  } catch (thrown) {
    if (thrown instanceof BadBridgeRequest) return [];
    throw thrown;
  }
}
