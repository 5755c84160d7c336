import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import { parseServerXml } from "./config/parse-server-xml.ts";
import { silentLogger } from "./flow/logger.ts";
import { advertisedAddresses, askStunServer } from "./public-address.ts";
import { parseStun, serializeStun, stunTypes, xorMappedAddress } from "./webrtc/transport/stun.ts";

/** A STUN server that loses the first request, answers nonsense to the next, and the truth after it. */
async function stunServer(t: TestContext, address: string): Promise<string> {
  const socket = createSocket("udp4");
  let requests = 0;
  socket.on("message", (bytes, { port }) => {
    const { transactionId } = parseStun(bytes);
    const answer = (id: string): Uint8Array =>
      serializeStun(stunTypes.bindingSuccess, id, [xorMappedAddress(address, 4711, id)]);
    requests++;
    if (requests === 2) {
      socket.send(Buffer.from("nonsense"), port, "127.0.0.1");
      socket.send(answer("00".repeat(12)), port, "127.0.0.1");
    } else if (requests > 2) socket.send(answer(transactionId), port, "127.0.0.1");
  });
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  t.after(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

test("the STUN server's answer is taken, however many were lost before it", async (t) => {
  assert.equal(await askStunServer(await stunServer(t, "203.0.113.9"), 30_000), "203.0.113.9");
});

test("an IPv6 address is read, too", async (t) => {
  assert.equal(await askStunServer(await stunServer(t, "2001:db8::9"), 30_000), "2001:db8:0:0:0:0:0:9");
});

test("a STUN server that does not answer is given up", async (t) => {
  const socket = createSocket("udp4").bind(0, "127.0.0.1");
  await once(socket, "listening");
  t.after(() => socket.close());
  await assert.rejects(askStunServer(`127.0.0.1:${socket.address().port}`, 50), /does not answer/);
});

test("candidates say what the file names: addresses as they are, names as they resolve, * for this machine's own", async () => {
  const found = (candidates: readonly string[], hearth = "") => {
    const inside = candidates.map((candidate) => `<IceCandidate>${candidate}</IceCandidate>`).join("");
    const { config } = parseServerXml(
      `<Server version="8"><Type>edge</Type><IP>*</IP><Bind><Publishers><WebRTC><IceCandidates>${inside}</IceCandidates>
       </WebRTC></Publishers></Bind><Hearth>${hearth}</Hearth></Server>`,
      { path: "f", env: {} },
    );
    assert.ok(config);
    return advertisedAddresses(config, silentLogger);
  };
  assert.deepEqual(await found(["*:10000/udp"]), []);
  assert.deepEqual(await found(["203.0.113.7:10000-10004/udp", "203.0.113.7:10005/udp", "[2001:db8::7]:10000/udp"]), [
    "203.0.113.7",
    "2001:db8::7",
  ]);
  assert.ok((await found(["localhost:10000/udp"])).some((address) => ["127.0.0.1", "::1"].includes(address)));
  // Without a STUN server nobody knows it.
  assert.deepEqual(await found(["${PublicIP}:10000/udp"]), []);
  const own = "<AdvertisedAddresses><Address>192.0.2.1</Address></AdvertisedAddresses>";
  assert.deepEqual(await found(["203.0.113.7:10000/udp"], own), ["192.0.2.1"]);
});
