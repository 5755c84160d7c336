import assert from "node:assert/strict";
import { test } from "node:test";
import { isStorableName, isStorableWord, storeLimits, streamKeys } from "./keys.ts";

test("keeps OvenMediaEngine's plain key with blanks and percent signs as they are", () => {
  const keys = streamKeys({ vhost: "default", app: "my app", stream: "100% live%20" });
  assert.equal(keys.plain, "my app/100% live%20");
  assert.equal(keys.origins, "hearth/origins/{my app/100% live%20}/default");
});

test("puts the keys of a stream into one slot of a cluster", () => {
  const { origins, plain, plainMark } = streamKeys({ vhost: "v", app: "app", stream: "s" });
  const tag = (key: string): string => /\{([^}]+)\}/.exec(key)?.[1] ?? key;
  assert.deepEqual([tag(origins), tag(plainMark)], [plain, plain]);
});

test("gives every name keys of its own, and never a key of another kind", () => {
  const words = ["a", "b}", "{a", "a}", "}/", "%2F", "%", "hearth", "origins", "{nodes}", "a}/v", "plain"];
  const seen = new Map<string, string>();
  const kinds = new Map<string, string>();
  for (const vhost of words) {
    for (const app of words) {
      for (const stream of words) {
        const name = { vhost, app, stream };
        if (!isStorableName(name)) continue;
        const keys = streamKeys(name);
        assert.equal(seen.get(keys.origins) ?? JSON.stringify(name), JSON.stringify(name));
        seen.set(keys.origins, JSON.stringify(name));
        for (const [kind, key] of Object.entries(keys)) {
          assert.equal(kinds.get(key) ?? kind, kind, key);
          kinds.set(key, kind);
        }
      }
    }
  }
  assert.ok(seen.size > 500);
});

test("refuses names that the store cannot keep apart", () => {
  const good = { vhost: "v", app: "a", stream: "s" };
  for (const bad of [
    { ...good, app: "" },
    { ...good, app: "a/b" },
    { ...good, stream: "s/t" },
    { ...good, stream: "\ud800" },
    { ...good, vhost: "v".repeat(storeLimits.nameBytes + 1) },
    { ...good, stream: "é".repeat(storeLimits.nameBytes / 2 + 1) },
  ]) {
    assert.equal(isStorableName(bad), false, JSON.stringify(bad));
    assert.throws(() => streamKeys(bad), RangeError);
  }
  assert.equal(isStorableWord("é".repeat(storeLimits.nameBytes / 2)), true);
});
