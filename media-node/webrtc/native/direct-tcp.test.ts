import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { loadNativeLibrary } from "./library.ts";
import { openDirectTcp } from "./direct-tcp.ts";

const [head, body] = [Buffer.from("head"), Buffer.from("body")];

test("without the library, or where bytes do not arrive as they were sent, there is no direct way", () => {
  const library = loadNativeLibrary();
  assert.ok(library.sockets, library.missing.join());
  assert.equal(openDirectTcp({ ...library, sockets: undefined }), undefined);
  assert.equal(openDirectTcp({ ...library, sockets: { ...library.sockets, sendmsg: () => 8 } }), undefined);
  assert.equal(openDirectTcp({ ...library, sockets: { ...library.sockets, socketpair: () => -1 } }), undefined);
  assert.equal(openDirectTcp({ ...library, sockets: { ...library.sockets, fcntl: () => -1 } }), undefined);
  assert.equal(openDirectTcp({ ...library, sockets: { ...library.sockets, fcntl: (fd) => fd } }), undefined);
});

test("a descriptor that is none takes nothing", () => {
  const direct = openDirectTcp(loadNativeLibrary());
  assert.ok(direct);
  assert.equal(direct.send(-1, head, body), 0);
  const file = openSync(import.meta.filename, "r");
  assert.equal(direct.send(file, head, undefined), 0);
  closeSync(file);
  assert.equal(direct.duplicate(file), undefined);
  direct.release();
});
