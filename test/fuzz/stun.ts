// STUN as it comes from anybody: parsed, or refused with a ProtocolError; authentic never.
import assert from "node:assert/strict";
import { ProtocolError } from "../../media-node/flow/errors.ts";
import { localUfragOf } from "../../media-node/webrtc/transport/ice-lite.ts";
import { isIntegrityTrue, parseStun, type StunMessage } from "../../media-node/webrtc/transport/stun.ts";

export function fuzz(input: Uint8Array): void {
  let message: StunMessage;
  try {
    message = parseStun(input);
  } catch (thrown) {
    if (thrown instanceof ProtocolError) return;
    throw thrown;
  }
  let held = 0;
  for (const value of message.attributes.values()) held += value.length;
  assert.ok(held <= input.length - 20, "only bytes that were there");
  localUfragOf(message);
  assert.equal(isIntegrityTrue(input, message, "a password the input does not know"), false);
}
