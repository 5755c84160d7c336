// Whatever an edge sends: an origin answers, or ends the connection with a ProtocolError; it never keeps much.
import assert from "node:assert/strict";
import { ProtocolError } from "../../media-node/flow/errors.ts";
import { OvtOriginDialogue } from "../../media-node/ovt/origin-dialogue.ts";
import { decodeTrace } from "../support/ovt-fixtures.ts";

export function fuzz(input: Uint8Array): void {
  const dialogue = new OvtOriginDialogue(0);
  try {
    for (let at = 0; at < input.length; at += 97) {
      dialogue.receive(input.subarray(at, at + 97), 0, 0);
      for (let request = dialogue.nextRequest(); request; request = dialogue.nextRequest()) {
        assert.ok(request.url.app !== "" && request.url.stream !== "" && request.target.length <= 4096);
        dialogue.answer(request.application === "describe" ? 404 : 200, "ok", { nowMs: 0, wallMs: 0 });
      }
    }
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
  }
  for (let output = dialogue.takeOutput(); output; output = dialogue.takeOutput()) {
    const { messages, rest } = decodeTrace(output);
    assert.deepEqual([messages.length, rest], [1, 0]);
  }
}
