import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { loadNativeLibrary } from "./library.ts";
import { openTcpSend } from "./tcp-send.ts";

const [head, body] = [Buffer.from("head"), Buffer.from("body")];

test("without the library, or where bytes do not arrive as they were sent, there is no direct way", () => {
  const library = loadNativeLibrary();
  assert.ok(library.sockets, library.missing.join());
  assert.equal(openTcpSend({ ...library, sockets: undefined }), undefined);
  assert.equal(openTcpSend({ ...library, sockets: { ...library.sockets, sendmsg: () => 8 } }), undefined);
  assert.equal(openTcpSend({ ...library, sockets: { ...library.sockets, socketpair: () => -1 } }), undefined);
});

test("a descriptor that is none takes nothing", () => {
  const direct = openTcpSend(loadNativeLibrary());
  assert.ok(direct);
  assert.equal(direct.send(-1, head, body), 0);
  const file = openSync(import.meta.filename, "r");
  assert.equal(direct.send(file, head, undefined), 0);
  closeSync(file);
  direct.close();
});
