import assert from "node:assert/strict";
import { test } from "node:test";
import { isSameSecret } from "./same-secret.ts";

test("secrets are the same when their bytes are, whatever they came as", () => {
  assert.equal(isSameSecret("geheim", "geheim"), true);
  assert.equal(isSameSecret(Buffer.from("gehüm"), "gehüm"), true);
  for (const other of ["", "gehei", "geheim ", "Geheim"]) assert.equal(isSameSecret(other, "geheim"), false, other);
});
