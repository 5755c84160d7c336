import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { NobodyAnswers, OperatorsDoor } from "./ask-node.ts";
import { SettingError } from "./flow/errors.ts";

test("a node that hangs is told from one that is gone", { timeout: 10_000 }, async () => {
  const silent = createServer((socket) => void socket.resume()).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const port = String((silent.address() as AddressInfo).port);
  const ask = (): Promise<unknown> => new OperatorsDoor("drain", { port }, 100).ask("GET", "/-/drain", [200]);
  const hung = await ask().catch((thrown: unknown) => thrown);
  assert.ok(hung instanceof SettingError && !(hung instanceof NobodyAnswers), String(hung));
  assert.match(hung.message, /has not answered for 0\.1 s/);
  silent.close();
  await once(silent, "close");
  await assert.rejects(ask(), NobodyAnswers);
});
