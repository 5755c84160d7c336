import { test } from "node:test";
import { fuzz, seeds } from "./server-xml.ts";

test("Server.xml: every seed, every beginning of it, and every byte of it changed once", () => {
  const utf8 = new TextEncoder();
  for (const seed of seeds) {
    const bytes = utf8.encode(seed);
    for (let at = 0; at <= bytes.length; at++) {
      fuzz(bytes.subarray(0, at));
      const changed = bytes.slice();
      changed[at % bytes.length]! ^= 1 + (at % 255);
      fuzz(changed);
    }
  }
});
