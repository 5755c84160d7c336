// What `npm run soak -- webrtc-floods` does at full size, smaller: counted, not timed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { comeWithWrongCertificates, reflect, replayHandshake } from "../support/webrtc-floods.ts";
import { stormOfJunk, stormOfOffers } from "../support/webrtc-storm.ts";

test("whoever is not proven gets no more bytes than were sent, and no more answers than requests", async () => {
  const { ports, ratio, answers, kept } = await reflect({ packets: 10_000, ports: 1_000 });
  assert.equal(ports, 1_000);
  assert.ok(ratio <= 1 && answers <= 1, `${ratio} bytes, ${answers} answers`);
  assert.ok(kept <= 8, `${kept} kept`);
});

for (const [name, force] of [
  ["OpenSSL", {}],
  ["werift", { dtls: "werift" }],
] as const) {
  test(`${name}: viewers with another certificate than the signalled one get no keys and no packet`, async () => {
    const { connected, packets, ended } = await comeWithWrongCertificates(20, force);
    assert.deepEqual([connected, packets], [0, 0], JSON.stringify(ended));
    assert.equal(
      Object.values(ended).reduce((sum, count) => sum + count, 0),
      20,
    );
  });
}

test("a viewer's handshake and report, replayed from its own address, change nothing and are not answered", async () => {
  const { hurt, ratio } = await replayHandshake(2_000);
  assert.equal(hurt, 0);
  assert.ok(ratio <= 1, `${ratio} bytes out for one in`);
});

test("junk on the port costs nobody who watches a packet", async () => {
  const { sent, hurt, lost, packets } = await stormOfJunk({ viewers: 5, perSecond: 20_000, seconds: 1 });
  assert.ok(sent >= 5_000, `${sent} sent`);
  assert.deepEqual([hurt, lost], [0, 0]);
  assert.ok(packets > 0);
});

test("of more players than can be let in the first are served, and the rest are told when to come again", async () => {
  const { answers, hurt, lost } = await stormOfOffers({ viewers: 5, offers: 600, seconds: 0.3 });
  const { "201, connected": connected = 0, "201, handshake begun": begun = 0, ...others } = answers;
  assert.ok(connected > 0 && begun > 0, JSON.stringify(answers));
  // How many are too many depends on how fast this machine makes them.
  assert.deepEqual(Object.keys({ ...others, "503, told when to come again": 0 }), ["503, told when to come again"]);
  assert.deepEqual([hurt, lost], [0, 0]);
});
