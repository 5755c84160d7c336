// What the kernel says no to, and what becomes of the packets.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { until } from "../../../test/support/until.ts";
import { newOutletCounters } from "../transport/packet-outlet.ts";
import { loadNativeLibrary, type Sockets } from "./library.ts";
import { EAGAIN, EINTR, MmsgOutlet, openUdpSocket } from "./udp-socket.ts";

const library = loadNativeLibrary();
const SOL_SOCKET = 1;
const SO_NO_CHECK = 11;

async function open(t: TestContext, change: (sockets: Sockets, fd: number) => Sockets) {
  const sockets = library.sockets!;
  const fd = openUdpSocket(library, sockets, "127.0.0.1", 0);
  const counters = newOutletCounters();
  const outlet = new MmsgOutlet(library, change(sockets, fd), fd, { isV4: true, withTrains: true, counters });
  const receiver = createSocket("udp4");
  const received: Buffer[] = [];
  receiver.on("message", (bytes) => received.push(bytes));
  receiver.bind(0, "127.0.0.1");
  await once(receiver, "listening");
  t.after(() => {
    outlet.close();
    sockets.close(fd);
    receiver.close();
  });
  const destination = outlet.openDestination("127.0.0.1", receiver.address().port);
  let number = 0;
  /** Packets of 200 bytes that say which they are, the last one shorter. */
  const send = (count: number, to = destination): void => {
    for (let i = 0; i < count; i++) {
      const length = i === count - 1 ? 100 : 200;
      const at = outlet.reserve(length);
      outlet.slab.bytes.fill(number++, at, at + length);
      outlet.commit(at, length, to);
    }
    outlet.flush();
  };
  return { counters, outlet, receiver, received, send };
}

test("a path that refuses trains gets its packets one by one, all and in order, and no train from then on", async (t) => {
  const { counters, outlet, receiver, received, send } = await open(t, (sockets, fd) => {
    // Linux cuts no trains where it may not write check sums.
    const one = library.newSlab(4);
    one.u32[0] = 1;
    assert.equal(sockets.setsockopt(fd, SOL_SOCKET, SO_NO_CHECK, one.address, 4), 0);
    one.release();
    return sockets;
  });
  send(10);
  await until("all are there", 2_000, () => received.length === 10);
  assert.deepEqual(
    received.map((bytes) => [bytes[0], bytes.length]),
    Array.from({ length: 10 }, (_, i) => [i, i === 9 ? 100 : 200]),
  );
  assert.deepEqual([counters.trainsRefused, counters.packetsOut, counters.bytesOut], [1, 10, 1_900]);
  send(10);
  await until("all are there", 2_000, () => received.length === 20);
  assert.deepEqual([counters.trainsRefused, counters.packetsOut, counters.droppedUnreachable], [1, 20, 0]);
  // Another viewer, perhaps on another path, is tried anew; so is the next one in the same place.
  send(2, outlet.openDestination("127.0.0.1", receiver.address().port));
  await until("all are there", 2_000, () => received.length === 22);
  assert.equal(counters.trainsRefused, 2);
});

test("what a full socket does not take is dropped and counted; who asks again at once would wait for ever", async (t) => {
  let calls = 0;
  const { counters, send } = await open(t, (sockets) => ({
    ...sockets,
    sendmmsg: () => (calls++, -1),
    errno: () => EAGAIN,
  }));
  send(10);
  assert.deepEqual([counters.packetsOut, counters.droppedWouldBlock], [0, 10]);
  assert.ok(calls < 10, `${calls} calls`);
});

test("a call that a signal interrupts is made again", async (t) => {
  let calls = 0;
  const { counters, received, send } = await open(t, (sockets) => ({
    ...sockets,
    sendmmsg: (...given) => (calls++ === 0 ? -1 : sockets.sendmmsg(...given)),
    errno: () => EINTR,
  }));
  send(10);
  await until("all are there", 2_000, () => received.length === 10);
  assert.deepEqual([counters.packetsOut, counters.droppedWouldBlock, counters.trainsRefused], [10, 0, 0]);
});
