// A message's bytes: a ProtocolError, or values that survive being written and read again.
import assert from "node:assert/strict";
import { ProtocolError } from "../../media-node/flow/errors.ts";
import { toStreamDescription } from "../../media-node/ovt/description-mapping.ts";
import { parseHearthDescription, parseHearthRequest } from "../../media-node/ovt/hearth-extension.ts";
import { isLinkTokenValid } from "../../media-node/ovt/link-token.ts";
import { parseOvtDescription, serializeOvtDescription } from "../../media-node/ovt/ovt-description.ts";
import { parseOvtRequest, parseOvtResponse } from "../../media-node/ovt/ovt-message.ts";
import { firstQueryValue, parseOvtUrl, withoutQueryKey } from "../../media-node/ovt/ovt-url.ts";

function attempt(run: () => void): void {
  try {
    run();
  } catch (thrown) {
    if (!(thrown instanceof ProtocolError)) throw thrown;
  }
}

export function fuzz(input: Uint8Array): void {
  attempt(() => parseHearthRequest(parseOvtRequest(input).extension));
  attempt(() => {
    const { contents } = parseOvtResponse(input);
    if (contents === undefined) return;
    const description = parseOvtDescription(contents);
    parseHearthDescription(description.extension);
    toStreamDescription(description, { generation: "g3", guessedEpochMs: 0 });
    const again = parseOvtDescription(JSON.parse(JSON.stringify(serializeOvtDescription(description), plainNumbers)));
    assert.deepEqual({ ...again, extension: undefined }, { ...description, extension: undefined });
  });
  const text = Buffer.from(input).toString("latin1");
  const url = parseOvtUrl(text);
  if (url) assert.ok(!/[/?]/.test(url.app + url.stream) && url.port <= 65_535);
  assert.equal(firstQueryValue(withoutQueryKey(text, "key"), "key"), undefined);
  const wanted = { secrets: ["secret"], app: "a", stream: "b", wallMs: 0 };
  assert.equal(isLinkTokenValid(text, wanted), false);
}

function plainNumbers(_key: string, value: unknown): unknown {
  return typeof value === "object" && value !== null && "value" in value ? value.value : value;
}
