import { messageOf } from "../../flow/errors.ts";
import type { BridgeCommand } from "./bridge-policy.ts";

/** What one command came to: a reply as node-redis gives it in RESP2 (bulk strings as buffers), or an error's text. */
export type BridgeOutcome = { readonly reply: unknown } | { readonly error: string };

export const bridgeLimits = {
  bodyBytes: 1_048_576,
  /** As many as the client puts into one pipeline. */
  commands: 1_000,
  argumentsPerCommand: 4_096,
} as const;

/** Not to be understood: answered with 400. */
export class BadBridgeRequest extends Error {
  override readonly name = "BadBridgeRequest";
}

/** Body of `POST /`: `["set","key","value",1]`. @throws {BadBridgeRequest} */
export function parseCommandBody(body: string): BridgeCommand {
  return toCommand(parseJson(body));
}

/** Body of `POST /pipeline` and `/multi-exec`: `[["set","key",1],["get","key"]]`. @throws {BadBridgeRequest} */
export function parseCommandsBody(body: string): readonly BridgeCommand[] {
  const commands = parseJson(body);
  if (!Array.isArray(commands) || commands.length === 0) throw new BadBridgeRequest("ERR empty pipeline request");
  if (commands.length > bridgeLimits.commands) throw new BadBridgeRequest("ERR too many commands in one request");
  return commands.map(toCommand);
}

/**
 * The JSON of one outcome, shaped as RESP2. With `isBase64` every string is encoded but the literal `OK`, as the
 * client decodes them.
 */
export function toResult(outcome: BridgeOutcome, isBase64: boolean): { result: unknown } | { error: string } {
  return "error" in outcome ? { error: outcome.error } : { result: encode(outcome.reply, isBase64) };
}

function encode(reply: unknown, isBase64: boolean): unknown {
  if (reply === null || reply === undefined) return null;
  if (typeof reply === "number" || typeof reply === "boolean") return reply;
  if (Array.isArray(reply)) return reply.map((item) => encode(item, isBase64));
  if (Buffer.isBuffer(reply)) return isBase64 ? reply.toString("base64") : reply.toString();
  const text = typeof reply === "string" ? reply : messageOf(reply);
  return isBase64 && text !== "OK" ? Buffer.from(text).toString("base64") : text;
}

function parseJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new BadBridgeRequest("ERR failed to parse command");
  }
}

function toCommand(words: unknown): BridgeCommand {
  if (!Array.isArray(words) || words.length === 0) throw new BadBridgeRequest("ERR empty command");
  if (words.length > bridgeLimits.argumentsPerCommand) throw new BadBridgeRequest("ERR too many arguments");
  return words.map((word: unknown) => {
    if (typeof word === "string") return word;
    if (typeof word === "number" || typeof word === "boolean") return String(word);
    throw new BadBridgeRequest("ERR arguments must be strings or numbers");
  });
}
