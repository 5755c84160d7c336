import assert from "node:assert/strict";
import { test } from "node:test";
import { listenForCommands } from "./control-server.ts";

test("a command about a name that cannot be read is refused, and the next is followed", async (t) => {
  const followed: string[] = [];
  const control = await listenForCommands("key", async (verb, id) => void followed.push(`${verb} ${id}`));
  t.after(() => control.close());
  const post = async (path: string): Promise<number> => (await fetch(control.url + path, { method: "POST" })).status;
  assert.deepEqual(
    [await post("/stop/%E0%A4"), await post("/stop/edge%2D1"), await post("/burn/edge-1")],
    [409, 200, 404],
  );
  assert.deepEqual(followed, ["stop edge-1"]);
});
