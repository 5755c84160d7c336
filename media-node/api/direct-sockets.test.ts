import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { test, type TestContext } from "node:test";
import { openFdOf } from "./direct-sockets.ts";

/** Both ends of a connection; the far one reads nothing. */
async function connection(t: TestContext): Promise<readonly [near: Socket, far: Socket]> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const far = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [near] = (await once(server, "connection")) as [Socket];
  for (const socket of [near, far]) socket.on("error", () => {});
  t.after(() => (near.destroy(), far.destroy(), server.close()));
  return [near, far];
}

test("an open connection has a descriptor of its own", async (t) => {
  const [[one], [other]] = [await connection(t), await connection(t)];
  assert.ok(openFdOf(one)! > 2 && openFdOf(other)! > 2);
  assert.notEqual(openFdOf(one), openFdOf(other));
});

test("what the stream still holds goes first", async (t) => {
  const [near, far] = await connection(t);
  near.write(Buffer.alloc(64 << 20));
  assert.ok(near.writableLength > 0);
  assert.equal(openFdOf(near), undefined);
  far.resume();
  await once(near, "drain");
  assert.ok(openFdOf(near)! > 2);
  near.cork();
  near.write("waits for others");
  assert.equal(openFdOf(near), undefined);
});

test("a connection that was ended or given up has none, in that very turn", async (t) => {
  const [[ended], [destroyed], [reset]] = [await connection(t), await connection(t), await connection(t)];
  ended.end();
  destroyed.destroy();
  reset.resetAndDestroy();
  assert.deepEqual([ended, destroyed, reset].map(openFdOf), [undefined, undefined, undefined]);
});
