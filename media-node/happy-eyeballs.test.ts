import assert from "node:assert/strict";
import type { LookupAddress } from "node:dns";
import { once } from "node:events";
import { createServer, Socket, type AddressInfo } from "node:net";
import { test } from "node:test";
import { connect } from "node:net";
import { dialTcp } from "./dial.ts";
import { inTurn } from "./happy-eyeballs.ts";

const v4 = (address: string): LookupAddress => ({ address, family: 4 });
const v6 = (address: string): LookupAddress => ({ address, family: 6 });

/** A listener on loopback, and addresses that swallow every connection request. */
async function world(host = "127.0.0.1") {
  const accepted: Socket[] = [];
  const server = createServer((socket) => {
    accepted.push(socket);
    socket.on("error", () => {}).resume();
  });
  server.listen(0, host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const tried: string[] = [];
  const swallowed: Socket[] = [];
  return {
    port,
    tried,
    swallowed,
    connect: (address: string, at: number): Socket => {
      tried.push(address);
      if (address.startsWith("192.0.2.") || address.startsWith("2001:db8:")) {
        swallowed.push(new Socket());
        return swallowed.at(-1)!;
      }
      return connect({ host: address, port: at });
    },
    async [Symbol.asyncDispose]() {
      for (const socket of accepted) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

test("addresses are tried by family in turn, the resolver's first one first", () => {
  const rows: [readonly LookupAddress[], readonly string[]][] = [
    [
      [v6("::a"), v6("::b"), v4("1.1.1.1"), v4("2.2.2.2")],
      ["::a", "1.1.1.1", "::b", "2.2.2.2"],
    ],
    [
      [v4("1.1.1.1"), v6("::a"), v6("::b")],
      ["1.1.1.1", "::a", "::b"],
    ],
    [
      [v4("1.1.1.1"), v4("2.2.2.2")],
      ["1.1.1.1", "2.2.2.2"],
    ],
    [[], []],
  ];
  for (const [given, expected] of rows) {
    assert.deepEqual(
      inTurn(given).map(({ address }) => address),
      expected,
    );
  }
});

test("addresses that swallow everything do not keep one that answers from being found", async () => {
  await using here = await world();
  const lookup = async () => [v6("2001:db8::1"), v6("2001:db8::2"), v4("192.0.2.1"), v4("127.0.0.1")];
  const socket = await dialTcp("origin.test", here.port, new AbortController().signal, { ...here, lookup });
  assert.equal(socket.remoteAddress, "127.0.0.1");
  assert.deepEqual(here.tried, ["2001:db8::1", "192.0.2.1", "2001:db8::2", "127.0.0.1"]);
  assert.ok(
    here.swallowed.every(({ destroyed }) => destroyed),
    "nothing is left open",
  );
  socket.destroy();
});

test("an address that refuses is followed by the next at once, and a slow one is not given up for a dead one", async () => {
  await using here = await world();
  const slow = new Socket();
  const options = {
    lookup: async () => [v4("127.0.0.9"), v4("192.0.2.1")],
    connect: (address: string, port: number): Socket => {
      if (address !== "127.0.0.9") return here.connect(address, port);
      // Takes longer than the delay after which the dead one is tried as well.
      setTimeout(() => slow.connect({ host: "127.0.0.1", port }), 400);
      return slow;
    },
  };
  const socket = await dialTcp("origin.test", here.port, new AbortController().signal, options);
  assert.equal(socket, slow);
  assert.deepEqual(here.tried, ["192.0.2.1"]);
  socket.destroy();
});

test("when every address fails the first one's reason is told", async () => {
  const closed = await world();
  await closed[Symbol.asyncDispose]();
  const lookup = async () => [v4("127.0.0.1"), v4("127.0.0.2")];
  await assert.rejects(dialTcp("origin.test", closed.port, new AbortController().signal, { ...closed, lookup }), {
    code: "DIAL_FAILED",
    message: /^cannot connect to origin\.test:\d+: nothing listens there/,
  });
  assert.equal(closed.tried.length, 2);
});

test("IPv6 addresses are dialled with and without brackets", async () => {
  await using here = await world("::1");
  for (const host of ["[::1]", "::1"]) {
    const socket = await dialTcp(host, here.port, new AbortController().signal);
    assert.equal(socket.remoteAddress, "::1");
    socket.destroy();
  }
});

test("a resolver that does not answer is not waited for when the attempt is given up", async () => {
  const abort = new AbortController();
  const dialled = dialTcp("origin.test", 1, abort.signal, { lookup: () => new Promise(() => {}) });
  abort.abort();
  await assert.rejects(dialled, { code: "DIAL_ABORTED" });
});
