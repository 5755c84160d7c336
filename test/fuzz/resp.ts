import assert from "node:assert/strict";
import { ProtocolError } from "../../media-node/flow/errors.ts";
import { EmbeddedSession } from "../../media-node/stores/embedded/embedded-session.ts";
import { Keyspace } from "../../media-node/stores/embedded/keyspace.ts";
import { RespRequestReader } from "../../media-node/stores/resp/resp-request-reader.ts";
import { serializeRespValue } from "../../media-node/stores/resp/resp-value.ts";

const limits = { maxArguments: 64, maxArgumentBytes: 4_096, maxCommandBytes: 16_384 };
const clock = { nowMs: () => 0, wallMs: () => 1_700_000_000_000, after: () => ({ cancel() {} }) };

/** Whole, and cut in two, `input` gives the same commands or the same refusal; the embedded store answers each of them. */
export function fuzz(input: Uint8Array): void {
  const cut = input.length === 0 ? 0 : input[0]! % input.length;
  const whole = read([input]);
  assert.deepEqual(read([input.subarray(0, cut), input.subarray(cut)]), whole);
  const session = new EmbeddedSession(new Keyspace(clock, 100), undefined);
  for (const command of whole.commands) serializeRespValue(session.answer(command));
}

function read(pieces: readonly Uint8Array[]): { commands: string[][]; refusal: string | undefined } {
  const reader = new RespRequestReader(limits);
  const commands: string[][] = [];
  try {
    for (const piece of pieces) commands.push(...reader.push(piece));
    return { commands, refusal: undefined };
  } catch (thrown) {
    // Which commands came before it depends on the cut: the connection is closed either way.
    if (thrown instanceof ProtocolError) return { commands: [], refusal: thrown.code };
    throw thrown;
  }
}
