import assert from "node:assert/strict";
import { StoreUnavailable } from "../../media-node/cluster/store/contract.ts";
import { storeLimits } from "../../media-node/cluster/store/keys.ts";
import { parseClaim, parseCount, parseSnapshot, parseUrls } from "../../media-node/cluster/store/script-replies.ts";

/** Any JSON a store could answer is a bounded value or StoreUnavailable. */
export function fuzz(input: Uint8Array): void {
  const reply = toReply(input);
  const snapshot = attempt(() => parseSnapshot(reply));
  if (snapshot) {
    assert.ok(Number.isSafeInteger(snapshot.nowMs) && snapshot.nowMs >= 0);
    assert.ok(snapshot.nodes.length <= storeLimits.nodes && snapshot.nodes.every((node) => typeof node === "string"));
    assert.ok(snapshot.origins.length <= storeLimits.originsPerStream + 1);
  }
  for (const url of attempt(() => parseUrls(reply)) ?? []) assert.ok(url.length <= storeLimits.urlBytes);
  const claim = attempt(() => parseClaim(reply));
  if (claim) assert.ok(claim.result.kind === "owner" || typeof claim.result.ownerUrl === "string");
  attempt(() => parseCount(reply));
}

/** JSON if it is, else an array of the bytes' halves as text, numbers and nesting. */
function toReply(input: Uint8Array): unknown {
  const text = Buffer.from(input).toString();
  try {
    return JSON.parse(text);
  } catch {
    const [half, rest] = [text.slice(0, text.length / 2), text.slice(text.length / 2)];
    const kinds: unknown[] = [half, rest.length, [half, rest], [[half], rest], null, "owner", "standby", input[1]];
    return [0, 1, 2].map((at) => kinds[(input[at] ?? 0) % kinds.length]);
  }
}

function attempt<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (thrown) {
    if (thrown instanceof StoreUnavailable) return undefined;
    throw thrown;
  }
}
