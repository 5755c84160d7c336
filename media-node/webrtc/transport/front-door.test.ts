// What outsiders and viewers can do to the port, over real sockets on loopback.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test, type TestContext } from "node:test";
import { silentLogger } from "../../flow/logger.ts";
import { ManualClock } from "../../time/manual-clock.ts";
import {
  makeCheck,
  stunTypesOf,
  viewerCredentials,
  TransportViewer,
  viewerCertificate,
} from "../../../test/support/transport-viewer.ts";
import type { MediaPort, PeerTransport, RtpBatch } from "../media-port.ts";
import { newCertificate } from "./certificate.ts";
import { openMediaPort, type MediaPortOptions } from "./open-media-port.ts";
import { errorCode, parseStun, stunAttributes, stunTypes } from "./stun.ts";

interface Opened {
  readonly port: MediaPort;
  readonly clock: ManualClock;
  peer(): Watched;
  viewer(peer: PeerTransport, protocol?: "udp" | "tcp"): Promise<TransportViewer>;
  outsider(): Promise<TransportViewer>;
}

interface Watched {
  readonly peer: PeerTransport;
  readonly states: string[];
  readonly rtcp: Buffer[];
}

async function openPort(t: TestContext, options: Partial<MediaPortOptions> = {}): Promise<Opened> {
  const clock = new ManualClock();
  const port = await openMediaPort({
    addresses: ["127.0.0.1"],
    advertisedAddresses: ["127.0.0.1"],
    clock,
    logger: silentLogger,
    ...options,
  });
  const viewers: TransportViewer[] = [];
  t.after(async () => {
    for (const viewer of viewers) viewer.close();
    await port.close();
    assert.equal(clock.pendingTimers, 0, "no timer remains");
  });
  const viewer = async (peer: PeerTransport, protocol = "udp"): Promise<TransportViewer> => {
    const opened = await TransportViewer.open(
      peer,
      port.candidates.find((candidate) => candidate.protocol === protocol)!,
    );
    viewers.push(opened);
    return opened;
  };
  const peer = (): Watched => {
    const states: string[] = [];
    const rtcp: Buffer[] = [];
    const opened = port.open({
      onState: (state, reason) => states.push(reason ? `${state}: ${reason}` : state),
      onRtcp: (packet) => rtcp.push(Buffer.from(packet)),
    });
    opened.setRemote({ fingerprints: [viewerCertificate.fingerprint] });
    return { peer: opened, states, rtcp };
  };
  const nobody = { iceUfrag: "nobody", icePwd: "secret" } as PeerTransport;
  return { port, clock, peer, viewer, outsider: () => viewer(nobody) };
}

async function connected(
  opened: Opened,
  protocol: "udp" | "tcp" = "udp",
): Promise<Watched & { readonly viewer: TransportViewer }> {
  const watched = opened.peer();
  const viewer = await opened.viewer(watched.peer, protocol);
  await viewer.connect();
  return { ...watched, viewer };
}

/** Resolves when the port has taken `count` more datagrams than it had. */
async function taken(viewer: TransportViewer, port: MediaPort, before: number, count: number): Promise<void> {
  await viewer.until(() => port.stats["datagramsIn"]! >= before + count);
}

function batchOf(count: number, payloadBytes: number): RtpBatch {
  const size = 12 + payloadBytes;
  const slab = Buffer.alloc(count * size);
  const offsets = Uint32Array.from({ length: count + 1 }, (_, i) => i * size);
  for (let i = 0; i < count; i++) slab.fill(i + 1, i * size + 12, (i + 1) * size)[i * size] = 0x80;
  return { slab, offsets, count };
}

const report = Buffer.from(
  "81c90007 0000abcd 00000001 00000000 00000000 00000000 00000000 00000000".replaceAll(" ", ""),
  "hex",
);

for (const [name, force] of [
  ["native", {}],
  ["without trains", { send: "ffi" }],
  ["portable", { send: "portable", crypto: "portable" }],
  ["native crypto, portable sending", { send: "portable" }],
  ["werift's handshake", { dtls: "werift" }],
] as const) {
  test(`${name}: a viewer connects, receives RTP and RTCP in order, reports, and leaves`, async (t) => {
    const opened = await openPort(t, { force });
    const { port } = opened;
    const { peer, viewer, states, rtcp } = await connected(opened);
    const batch = batchOf(100, 1188);
    peer.queueRtp(batch, 10, 100, { ssrc: 42, payloadType: 98, packetIndex: 65_500 });
    peer.queueRtcp(report);
    port.flush();
    await viewer.until(() => viewer.rtcp.length === 1);
    assert.deepEqual(
      viewer.rtp.map((packet) => packet.readUInt16BE(2)),
      Array.from({ length: 90 }, (_, i) => (65_500 + i) % 65_536),
    );
    for (const [i, packet] of viewer.rtp.entries()) {
      assert.equal(packet.readUInt32BE(8), 42);
      assert.deepEqual(packet.subarray(12), Buffer.alloc(1188, i + 11));
    }
    assert.deepEqual(viewer.rtcp, [report]);
    const extension = Buffer.from("bede000122000000", "hex");
    peer.queueRtp(batch, 0, 3, { ssrc: 42, payloadType: 98, packetIndex: 65_590, extension });
    port.flush();
    await viewer.until(() => viewer.rtp.length === 93);
    for (const [i, packet] of viewer.rtp.slice(90).entries()) {
      assert.equal(packet[0], 0x90);
      assert.deepEqual(packet.subarray(12), Buffer.concat([extension, Buffer.alloc(1188, i + 1)]));
    }
    viewer.sendRtcp(report);
    await viewer.until(() => rtcp.length === 1);
    assert.deepEqual(rtcp, [report]);
    viewer.shutdown();
    await viewer.until(() => peer.state === "closed");
    assert.deepEqual(states, ["connected", "closed: close-notify"]);
    assert.equal(port.tier, (force as { send?: string }).send ?? "ffi-gso");
  });
}

for (const protocol of ["udp", "tcp"] as const) {
  test(`over IPv6 and ${protocol} a viewer connects and receives`, async (t) => {
    const opened = await openPort(t, { addresses: ["::1"], advertisedAddresses: ["::1"] });
    const { peer, viewer } = await connected(opened, protocol);
    peer.queueRtp(batchOf(20, 1188), 0, 20, { ssrc: 42, payloadType: 98, packetIndex: 7 });
    opened.port.flush();
    await viewer.until(() => viewer.rtp.length === 20);
  });
}

test("one port serves IPv4 and IPv6, UDP and TCP, on one number", async (t) => {
  const { port } = await openPort(t, { addresses: ["127.0.0.1", "::1"], advertisedAddresses: ["127.0.0.1", "::1"] });
  assert.deepEqual(
    port.candidates.map(({ protocol, address }) => `${protocol} ${address}`),
    ["udp 127.0.0.1", "udp ::1", "tcp 127.0.0.1", "tcp ::1"],
  );
  assert.equal(new Set(port.candidates.map((candidate) => candidate.port)).size, 1);
  const priorities = port.candidates.map(({ priority }) => priority);
  assert.deepEqual(
    priorities,
    priorities.toSorted((a, b) => b - a),
  );
});

test("a thousand viewers that vanish are gone after 35 s, and nothing of them remains", async (t) => {
  const { port, clock } = await openPort(t);
  const states: string[] = [];
  for (let i = 0; i < 1000; i++) port.open({ onState: (state) => states.push(state), onRtcp() {} });
  assert.equal(port.stats["peers"], 1000);
  clock.advance(35_000);
  assert.equal(states.length, 1000);
  assert.equal(port.stats["peers"], 0);
  assert.equal(port.stats["paths"], 0);
});

test("over TCP a viewer connects, receives, reports, and its disconnection ends the session", async (t) => {
  const opened = await openPort(t);
  const { peer, viewer, rtcp, states } = await connected(opened, "tcp");
  const batch = batchOf(200, 1188);
  peer.queueRtp(batch, 0, 200, { ssrc: 42, payloadType: 98, packetIndex: 7 });
  assert.ok(peer.backlogBytes > 200 * 1200, "what waits is told");
  opened.port.flush();
  await viewer.until(() => viewer.rtp.length === 200);
  assert.equal(viewer.rtp[199]!.readUInt16BE(2), 206);
  viewer.sendRtcp(report);
  await viewer.until(() => rtcp.length === 1);
  viewer.close();
  await viewer.until(() => peer.state === "closed");
  assert.deepEqual(states, ["connected", "closed: tcp-closed"]);
});

test("a TCP connection without an authentic check is closed, at once when its frames are too long", async (t) => {
  const opened = await openPort(t);
  const nobody = { iceUfrag: "nobody", icePwd: "secret" } as PeerTransport;
  const [silent, long] = [await opened.viewer(nobody, "tcp"), await opened.viewer(nobody, "tcp")];
  long.write(Buffer.alloc(100, 0xff));
  await long.until(() => long.isEnded);
  silent.check();
  await taken(silent, opened.port, 0, 1);
  assert.equal(silent.isEnded, false);
  opened.clock.advance(10_000);
  await silent.until(() => silent.isEnded);
  assert.equal(silent.bytesIn, 0);
});

test("one address opens a bounded number of unproven TCP connections", async (t) => {
  const opened = await openPort(t);
  const nobody = { iceUfrag: "nobody", icePwd: "secret" } as PeerTransport;
  const all = await Promise.all(Array.from({ length: 40 }, () => opened.viewer(nobody, "tcp")));
  await all[0]!.until(() => opened.port.stats["droppedConnections"] === 8);
  opened.clock.advance(10_000);
  await all[0]!.until(() => all.every((viewer) => viewer.isEnded));
  await connected(opened, "tcp");
});

test("more than the slab holds leaves in several goes, complete", async (t) => {
  const opened = await openPort(t);
  const all = await Promise.all(Array.from({ length: 12 }, () => connected(opened)));
  const batch = batchOf(90, 1188);
  for (const { peer } of all) peer.queueRtp(batch, 0, 90, { ssrc: 1, payloadType: 98, packetIndex: 1 });
  opened.port.flush();
  assert.equal(opened.port.stats["packetsOut"], 12 * 90);
  for (const { viewer } of all) await viewer.until(() => viewer.rtp.length === 90);
});

test("the node's close tells the viewer", async (t) => {
  const opened = await openPort(t);
  const { peer, viewer, states } = await connected(opened);
  peer.close("stopped");
  peer.close("again");
  await viewer.until(() => viewer.dtlsStatus === "closed");
  assert.deepEqual(states, ["connected", "closed: stopped"]);
});

test("after the first report, too, both ends can say goodbye", async (t) => {
  const opened = await openPort(t);
  const [first, second] = [await connected(opened), await connected(opened)];
  for (const { viewer, rtcp } of [first, second]) {
    viewer.sendRtcp(report);
    await viewer.until(() => rtcp.length === 1);
  }
  first.peer.close("stopped");
  await first.viewer.until(() => first.viewer.dtlsStatus === "closed");
  // Not an alert, not authentic: nothing happens.
  second.viewer.send(Buffer.from(`15fefd0001000000000007001a${"ab".repeat(26)}`, "hex"));
  second.viewer.sendRtcp(report);
  await second.viewer.until(() => second.rtcp.length === 2);
  assert.equal(second.peer.state, "connected");
  second.viewer.shutdown();
  await second.viewer.until(() => second.peer.state === "closed");
  assert.deepEqual(second.states, ["connected", "closed: close-notify"]);
});

test("a viewer that calls itself controlled is told of the conflict", async (t) => {
  const opened = await openPort(t);
  const { peer } = opened.peer();
  const viewer = await opened.viewer(peer);
  viewer.check({ role: stunAttributes.iceControlled });
  await viewer.until(() => viewer.received.length > 0);
  const answer = parseStun(viewer.received[0]!);
  assert.equal(answer.type, stunTypes.bindingError);
  assert.deepEqual(
    Buffer.from(answer.attributes.get(stunAttributes.errorCode)!),
    Buffer.from(errorCode(487, "Role Conflict")[1]),
  );
});

/** A viewer with credentials in its description, as every player's has, so that it can be asked whether it receives. */
function described(port: MediaPort): PeerTransport {
  const peer = port.open({ onState() {}, onRtcp() {} });
  peer.setRemote({ fingerprints: [viewerCertificate.fingerprint], ...viewerCredentials });
  return peer;
}

/** Sends a packet of media. */
function sendOne(port: MediaPort, peer: PeerTransport, packetIndex: number): void {
  peer.queueRtp(batchOf(1, 100), 0, 1, { ssrc: 1, payloadType: 98, packetIndex });
  port.flush();
}

const mediaOf = (viewer: TransportViewer): number => viewer.received.filter((bytes) => bytes[0]! >= 128).length;

test("media follows the last nominated address", async (t) => {
  const opened = await openPort(t);
  const { port } = opened;
  const peer = described(port);
  const viewer = await opened.viewer(peer);
  await viewer.connect();
  await viewer.reopen();
  viewer.received.length = 0;
  viewer.check({ isNominating: false });
  await viewer.until(() => viewer.received.length === 1);
  viewer.check();
  await viewer.until(() => viewer.received.length === 3);
  await viewer.until(() => {
    sendOne(port, peer, 1);
    return viewer.rtp.length > 0;
  });
  assert.equal(peer.state, "connected");
});

test("a viewer without credentials cannot be asked, and stays where it shook hands", async (t) => {
  const opened = await openPort(t);
  const { peer, viewer } = await connected(opened);
  const elsewhere = await opened.viewer(peer);
  for (let i = 0; i < 20; i++) elsewhere.check();
  await elsewhere.until(() => elsewhere.received.length === 20);
  sendOne(opened.port, peer, 1);
  await viewer.until(() => viewer.rtp.length === 1);
  assert.equal(mediaOf(elsewhere), 0);
});

for (const [name, open] of [
  ["without credentials", (opened: Opened) => opened.peer().peer],
  ["with credentials", ({ port }: Opened) => described(port)],
] as const) {
  test(`${name}: who shakes hands itself, and invents the address of its last flight, sends no media there`, async (t) => {
    const opened = await openPort(t);
    const { port } = opened;
    const peer = open(opened);
    const viewer = await opened.viewer(peer);
    const victim = await opened.viewer(peer);
    victim.isSilent = true;
    viewer.check();
    await viewer.until(() => viewer.received.length >= 1);
    victim.check();
    await victim.until(() => victim.received.length >= 1);
    viewer.startDtls();
    viewer.send = (bytes) => victim.send(bytes);
    await viewer.until(() => peer.state === "connected");
    for (let i = 1; i <= 50; i++) sendOne(port, peer, i);
    const { packetsOut } = port.stats;
    victim.check();
    const before = stunTypesOf(victim).length;
    await victim.until(() => stunTypesOf(victim).length > before);
    assert.deepEqual([mediaOf(victim), packetsOut], [0, mediaOf(viewer)]);
    assert.ok(victim.bytesIn <= 3 * victim.bytesOut);
  });

  test(`${name}: when its TCP connection ends, media goes to no address that has not answered`, async (t) => {
    const opened = await openPort(t);
    const { port } = opened;
    const peer = open(opened);
    const viewer = await opened.viewer(peer, "tcp");
    await viewer.connect();
    const victim = await opened.viewer(peer);
    victim.isSilent = true;
    victim.check({ isNominating: false });
    await victim.until(() => victim.received.length === 1);
    viewer.close();
    await victim.until(() => peer.state === "closed" || stunTypesOf(victim).includes(stunTypes.bindingRequest));
    for (let i = 1; i <= 50; i++) sendOne(port, peer, i);
    assert.equal(port.stats["packetsOut"], 0);
    assert.equal(peer.state, name === "with credentials" ? "connected" : "closed");
    if (peer.state === "closed") return;
    // One that is really there answers, and has its media again.
    victim.isSilent = false;
    victim.check({ isNominating: false });
    await victim.until(() => {
      sendOne(port, peer, 51);
      return mediaOf(victim) > 0;
    });
  });
}

test("a new address gets media only after it has answered", async (t) => {
  const opened = await openPort(t);
  const { port } = opened;
  const peer = port.open({ onState() {}, onRtcp() {} });
  peer.setRemote({ fingerprints: [viewerCertificate.fingerprint], ...viewerCredentials });
  const viewer = await opened.viewer(peer);
  await viewer.connect();
  const deaf = await opened.viewer(peer);
  deaf.isSilent = true;
  for (let i = 0; i < 20; i++) deaf.check();
  await deaf.until(() => stunTypesOf(deaf).filter((type) => type === stunTypes.bindingSuccess).length === 20);
  assert.ok(stunTypesOf(deaf).includes(stunTypes.bindingRequest), "it was asked");
  peer.queueRtp(batchOf(2, 100), 0, 2, { ssrc: 1, payloadType: 98, packetIndex: 1 });
  port.flush();
  await viewer.until(() => viewer.rtp.length === 2);
  assert.ok(deaf.bytesIn <= 3 * deaf.bytesOut);
  await viewer.reopen();
  viewer.received.length = 0;
  viewer.check();
  await viewer.until(() => stunTypesOf(viewer).length === 2);
  const before = port.stats["datagramsIn"]!;
  viewer.check();
  await taken(viewer, port, before, 1);
  peer.queueRtp(batchOf(2, 100), 0, 2, { ssrc: 1, payloadType: 98, packetIndex: 3 });
  port.flush();
  await viewer.until(() => viewer.rtp.length === 4);
});

test("consent ends 30 s after the last authentic packet, and SRTCP counts as one", async (t) => {
  const opened = await openPort(t);
  const { peer, viewer, rtcp, states } = await connected(opened);
  const { clock } = opened;
  clock.advance(29_000);
  viewer.sendRtcp(report);
  await viewer.until(() => rtcp.length === 1);
  clock.advance(29_000);
  assert.equal(peer.state, "connected");
  clock.advance(2000);
  assert.deepEqual(states, ["connected", "closed: consent-expired"]);
});

test("a place that nobody takes is closed after 15 s", async (t) => {
  const opened = await openPort(t);
  const { peer, states } = opened.peer();
  opened.clock.advance(14_900);
  assert.equal(peer.state, "new");
  opened.clock.advance(200);
  assert.deepEqual(states, ["closed: connect-timeout"]);
});

test("no handshake completes before the viewer's fingerprint is known; then it does", async (t) => {
  const opened = await openPort(t);
  const peer = opened.port.open({ onState() {}, onRtcp() {} });
  const viewer = await opened.viewer(peer);
  viewer.check();
  await viewer.until(() => viewer.received.length === 1);
  viewer.startDtls();
  await taken(viewer, opened.port, 1, 1);
  assert.equal(viewer.received.length, 1, "nothing is answered yet");
  peer.setRemote({ fingerprints: [viewerCertificate.fingerprint] });
  await viewer.until(() => peer.state === "connected");
});

for (const [name, force] of [
  ["openssl", {}],
  ["werift", { dtls: "werift" }],
] as const) {
  test(`${name}: another certificate than the signalled one gets no keys and no packet`, async (t) => {
    const opened = await openPort(t, { force });
    const states: string[] = [];
    const peer = opened.port.open({ onState: (state, reason) => states.push(`${state}: ${reason}`), onRtcp() {} });
    peer.setRemote({ fingerprints: [newCertificate(0).fingerprint, "sha-1 00", "md5", ""] });
    const viewer = await opened.viewer(peer);
    viewer.check();
    await viewer.until(() => viewer.received.length === 1);
    viewer.startDtls();
    await viewer.until(() => peer.state === "closed");
    peer.queueRtp(batchOf(1, 10), 0, 1, { ssrc: 1, payloadType: 98, packetIndex: 1 });
    opened.port.flush();
    assert.deepEqual(states, ["closed: dtls-fingerprint"]);
    assert.equal(opened.port.stats["packetsOut"], 0);
  });
}

test("a throw of the layer above ends that viewer only", async (t) => {
  const opened = await openPort(t);
  const other = await connected(opened);
  const peer = opened.port.open({
    onState() {},
    onRtcp() {
      throw new Error("a mistake above");
    },
  });
  peer.setRemote({ fingerprints: [viewerCertificate.fingerprint] });
  const viewer = await opened.viewer(peer);
  await viewer.connect();
  viewer.sendRtcp(report);
  await viewer.until(() => peer.state === "closed");
  assert.equal(other.peer.state, "connected");
  assert.equal(opened.port.stats["callbackErrors"], 1);
});

test("a check that is faster than the word of its viewer is answered all the same", async (t) => {
  const credentials = { iceUfrag: "told", icePwd: "0123456789abcdefghijklmn" };
  let asked = 0;
  const opened = await openPort(t, {
    catchUp: () => {
      if (asked++ === 0) opened.port.open({ onState: () => {}, onRtcp: () => {} }, credentials);
    },
  });
  const viewer = await opened.viewer(credentials as PeerTransport);
  viewer.check();
  await viewer.until(() => viewer.received.some((bytes) => bytes[0] === 1));
  const outsider = await opened.outsider();
  outsider.check();
  await viewer.until(() => opened.port.stats["stunUnknownUfrag"] === 1);
  assert.deepEqual([asked, outsider.received.length], [2, 0]);
});

test("who knows no user fragment or no password gets no answer, and leaves nothing behind", async (t) => {
  const opened = await openPort(t);
  const { port } = opened;
  const { peer } = opened.peer();
  const outsider = await opened.outsider();
  const unsigned = Buffer.from(makeCheck(peer));
  const probes = [
    makeCheck(peer, { password: "wrong" }),
    makeCheck(peer, { username: "nobody:x" }),
    makeCheck(peer, { username: "" }),
    makeCheck(peer, { role: stunAttributes.iceControlled, password: "wrong" }),
    unsigned.subarray(0, 20),
    Buffer.from("000100002112a442000000000000000000000000", "hex"),
    Buffer.from("16feff0000000000000000000c0100000000000000000000000000", "hex"),
    Buffer.from("15feff000000000000000000020228", "hex"),
    randomBytes(1200),
    report,
    Buffer.alloc(0),
  ];
  for (const probe of probes) outsider.send(probe);
  await taken(outsider, port, 0, probes.length);
  outsider.check({ username: `${peer.iceUfrag}:x`, password: peer.icePwd });
  await outsider.until(() => outsider.received.length > 0);
  assert.deepEqual(stunTypesOf(outsider), [stunTypes.bindingSuccess], "only the authentic one was answered");
  assert.equal(port.stats["controlOut"], 1);
});

test("from the viewer's own address, plain, old and invented records change nothing", async (t) => {
  const opened = await openPort(t);
  const { port } = opened;
  const { peer, viewer, rtcp } = await connected(opened);
  const before = port.stats["datagramsIn"]!;
  const header = (type: number, epoch: number, length: number): string =>
    `${type.toString(16)}fefd000${epoch}0000000000ff${length.toString(16).padStart(4, "0")}`;
  const sealed = viewer.sealRtcp(report);
  const probes = [
    Buffer.from(`${header(21, 0, 2)}0228`, "hex"),
    Buffer.from(`${header(21, 0, 2)}0100`, "hex"),
    Buffer.from(`${header(22, 0, 40)}01${"00".repeat(39)}`, "hex"),
    Buffer.from(`${header(21, 1, 26)}${"ab".repeat(26)}`, "hex"),
    Buffer.from(`${header(23, 2, 26)}${"ab".repeat(26)}`, "hex"),
    Buffer.from(`${header(22, 1, 60)}${"cd".repeat(60)}`, "hex"),
    Buffer.from("14fefd", "hex"),
    sealed,
    sealed,
    sealed,
  ];
  for (const probe of probes) viewer.send(probe);
  await taken(viewer, port, before, probes.length);
  assert.equal(peer.state, "connected");
  assert.equal(rtcp.length, 1, "the replays were refused");
  viewer.shutdown();
  await viewer.until(() => peer.state === "closed");
});

test("plain alerts during the handshake do not end it", async (t) => {
  const opened = await openPort(t);
  const { peer } = opened.peer();
  const viewer = await opened.viewer(peer);
  viewer.check();
  await viewer.until(() => viewer.received.length === 1);
  viewer.send(Buffer.from("15feff000000000000000000020228", "hex"));
  viewer.send(randomBytes(300).fill(22, 0, 1));
  viewer.startDtls();
  await viewer.until(() => peer.state === "connected");
});

test("a handshake that stops after the first flight gets at most three times what it sent", async (t) => {
  const opened = await openPort(t);
  const { port, clock } = opened;
  const { peer, states } = opened.peer();
  const viewer = await opened.viewer(peer);
  viewer.isSilent = true;
  viewer.check();
  await viewer.until(() => viewer.received.length === 1);
  viewer.startDtls();
  await viewer.until(() => viewer.received.length === 2);
  clock.advance(15_000);
  assert.deepEqual(states, ["closed: connect-timeout"]);
  assert.ok(port.stats["controlBytesOut"]! <= 3 * port.stats["bytesIn"]!);
});

test("a repeated ClientHello brings the same flight again, from 40 ms on", async (t) => {
  const opened = await openPort(t);
  const { port, clock } = opened;
  const { peer } = opened.peer();
  const viewer = await opened.viewer(peer);
  viewer.isSilent = true;
  // Enough bytes in, so that the budget allows for several flights.
  for (let i = 0; i < 10; i++) viewer.check();
  await viewer.until(() => viewer.received.length === 10);
  const hello = viewer.startDtls();
  await viewer.until(() => viewer.received.length === 11);
  const before = port.stats["datagramsIn"]!;
  viewer.send(hello[0]!);
  await taken(viewer, port, before, 1);
  clock.advance(40);
  viewer.send(hello[0]!);
  await viewer.until(() => viewer.received.length === 12);
  assert.deepEqual(viewer.received[11], viewer.received[10]);
  viewer.isSilent = false;
  clock.advance(40);
  viewer.send(hello[0]!);
  await viewer.until(() => peer.state === "connected");
});
