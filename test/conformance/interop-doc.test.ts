import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { checkServerXml } from "../../media-node/config/check.ts";

test("every Server.xml of docs/interop.md is in order", () => {
  const text = readFileSync(new URL("../../docs/interop.md", import.meta.url), "utf8");
  const blocks = [...text.matchAll(/```xml\n(.*?)```/gs)].map(([, block]) => block!);
  assert.equal(blocks.length, 4);
  for (const [index, block] of blocks.entries()) {
    const { output, exitCode } = checkServerXml(block, { path: `block ${index + 1}`, isStrict: true, env: {} });
    assert.equal(exitCode, 0, output);
  }
});
