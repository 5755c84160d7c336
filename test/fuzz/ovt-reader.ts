// Whatever arrives on a connection: bodies within their limits, or a ProtocolError; the same however the reads fall.
import assert from "node:assert/strict";
import { ProtocolError } from "../../media-node/flow/errors.ts";
import { OvtReader } from "../../media-node/ovt/ovt-reader.ts";

const limits = { role: "edge", maxMessageBytes: 1 << 12, maxMediaBytes: 1 << 16 } as const;

/** Number and length of the bodies, and what ended it. */
function run(chunks: readonly Uint8Array[]): string {
  let found = "";
  const reader = new OvtReader(limits, {
    onMessage(body) {
      assert.ok(body.length > 0 && body.length <= limits.maxMessageBytes);
      found += `m${body.length}.${body[0]} `;
    },
    onMedia(body) {
      assert.ok(body.length <= limits.maxMediaBytes);
      found += `p${body.length}.${body.at(-1)} `;
    },
  });
  try {
    for (const chunk of chunks) reader.push(chunk);
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
    found += thrown.code;
  }
  return found;
}

export function fuzz(input: Uint8Array): void {
  const at = (input.length * ((input[3] ?? 0) % 16)) >> 4;
  assert.equal(run([input.subarray(0, at), input.subarray(at)]), run([input]));
}
