import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { printReference } from "./reference.ts";

test("docs/server-xml.md is what the schema says", () => {
  const page = readFileSync(new URL("../../docs/server-xml.md", import.meta.url), "utf8");
  assert.equal(page, printReference(), "print it anew: node media-node/config/print-reference.ts > docs/server-xml.md");
});
