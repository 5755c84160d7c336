// Floods against one media port: what it says to addresses that nobody has proven, and to viewers who are not who was signalled.
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { ManualClock } from "../../media-node/time/manual-clock.ts";
import type { MediaPort, PeerTransport } from "../../media-node/webrtc/media-port.ts";
import { openMediaPort, type MediaPortOptions } from "../../media-node/webrtc/transport/open-media-port.ts";
import { serializeStun, stunAttributes, stunTypes } from "../../media-node/webrtc/transport/stun.ts";
import { makeCheck, TransportViewer, viewerCertificate } from "./transport-viewer.ts";

export interface Reflection {
  readonly packets: number;
  readonly ports: number;
  /** Bytes the port sent for each byte it got. */
  readonly ratio: number;
  /** Datagrams it sent for each it got. */
  readonly answers: number;
  /** Address pairs and waiting handshakes at the end; one viewer may have eight. */
  readonly kept: number;
}

/** Sockets open at a time: a process may have few. */
const atOnce = 500;
const slice = 100;

const openPort = (force: MediaPortOptions["force"] = {}): Promise<MediaPort> =>
  openMediaPort({
    addresses: ["127.0.0.1"],
    advertisedAddresses: ["127.0.0.1"],
    clock: new ManualClock(),
    logger: silentLogger,
    force,
  });

/** The shortest check that is authentic: what a reflector would be fed. */
const shortCheck = (peer: PeerTransport): Uint8Array =>
  serializeStun(
    stunTypes.bindingRequest,
    "0123456789abcdef01234567",
    [[stunAttributes.username, Buffer.from(`${peer.iceUfrag}:x`)]],
    peer.icePwd,
  );

/**
 * Everything that may come from an address nobody has proven, also from who knows a viewer's password and invents addresses;
 * `packets` of them from `ports` addresses.
 */
export async function reflect({ packets, ports }: { packets: number; ports: number }): Promise<Reflection> {
  const port = await openPort();
  const peer = port.open({ onState() {}, onRtcp() {} });
  peer.setRemote({ fingerprints: [viewerCertificate.fingerprint] });
  const hello = await recordHello(port);
  const kinds = [
    makeCheck(peer, { password: "wrong" }),
    makeCheck(peer, { username: "nobody:x" }),
    serializeStun(stunTypes.bindingRequest, "0123456789abcdef01234567", []),
    shortCheck(peer),
    makeCheck(peer),
    makeCheck(peer, { role: stunAttributes.iceControlled }),
    ...hello,
    Buffer.concat([Buffer.of(0x80, 0xc9), Buffer.alloc(60, 7)]),
  ];
  const before = port.stats;
  const { address, port: number } = port.candidates[0]!;
  let sent = 0;
  let bytes = 0;
  let opened = 0;
  try {
    while (sent < packets) {
      const sockets = await openSockets(Math.min(atOnce, ports));
      opened += sockets.length;
      // Each round takes new addresses until there were enough of them.
      const round = Math.min(packets - sent, Math.ceil(packets / Math.ceil(ports / atOnce)));
      for (let i = 0; i < round;) {
        const taken = port.stats["datagramsIn"]!;
        const count = Math.min(slice, round - i);
        for (let n = 0; n < count; n++, i++) {
          const datagram = kinds[Math.floor(i / sockets.length + i) % kinds.length]!;
          bytes += datagram.length;
          sockets[i % sockets.length]!.send(datagram, number, address);
        }
        await untilTaken(port, taken + count);
      }
      sent += round;
      for (const socket of sockets) socket.close();
    }
    const after = port.stats;
    const grew = (name: string): number => after[name]! - before[name]!;
    return {
      packets: sent,
      ports: opened,
      ratio: grew("controlBytesOut") / bytes,
      answers: grew("controlOut") / sent,
      kept: after["paths"]! + after["handshakesWaiting"]! - before["paths"]!,
    };
  } finally {
    await port.close();
  }
}

export interface WrongCertificates {
  readonly attempts: number;
  /** Sessions that got keys. */
  readonly connected: number;
  /** Packets of media or reports that left. */
  readonly packets: number;
  /** Why the sessions ended. */
  readonly ended: Readonly<Record<string, number>>;
}

/** Viewers with every credential but the certificate whose fingerprint was signalled. */
export async function comeWithWrongCertificates(
  attempts: number,
  force?: MediaPortOptions["force"],
): Promise<WrongCertificates> {
  const port = await openPort(force);
  const ended: Record<string, number> = {};
  let packets = 0;
  try {
    for (let i = 0; i < attempts; i++) {
      const signalled = Array.from({ length: 32 }, (_, at) => ((i >> (at % 8)) & 255).toString(16).padStart(2, "0"));
      const peer = port.open({
        onState: (state, reason) => {
          if (state === "closed") ended[reason] = (ended[reason] ?? 0) + 1;
        },
        onRtcp() {},
      });
      peer.setRemote({ fingerprints: [`sha-256 ${signalled.join(":").toUpperCase()}`] });
      const viewer = await TransportViewer.open(peer, port.candidates[0]!);
      viewer.check();
      await viewer.until(() => viewer.received.length > 0);
      viewer.startDtls();
      await viewer.until(() => {
        offerMedia(port, peer);
        return peer.state === "closed";
      });
      packets += viewer.received.filter((bytes) => bytes[0]! >= 128).length;
      viewer.close();
    }
    return { attempts, connected: port.stats["connected"]!, packets: packets + port.stats["packetsOut"]!, ended };
  } finally {
    await port.close();
  }
}

function offerMedia(port: MediaPort, peer: PeerTransport): void {
  const slab = Buffer.alloc(1_000);
  slab[0] = 0x80;
  const batch = { slab, offsets: Uint32Array.of(0, slab.length), count: 1 };
  peer.queueRtp(batch, 0, 1, { ssrc: 1, payloadType: 98, packetIndex: 1 });
  peer.queueRtcp(Uint8Array.of(0x80, 200, 0, 1, 0, 0, 0, 1));
  port.flush();
}

export interface Replayed {
  readonly sent: number;
  /** Sessions that ended, changed their state or got their handshake answered again. */
  readonly hurt: number;
  /** Bytes that were said to it, after the first answer, for each that came. */
  readonly ratio: number;
}

/** Every datagram of a viewer's own handshake and reports, again and again from its own address. */
export async function replayHandshake(datagrams: number): Promise<Replayed> {
  const port = await openPort();
  let reports = 0;
  const peer = port.open({ onState() {}, onRtcp: () => reports++ });
  peer.setRemote({ fingerprints: [viewerCertificate.fingerprint] });
  const viewer = await TransportViewer.open(peer, port.candidates[0]!);
  try {
    viewer.keepsSent = true;
    await viewer.connect();
    viewer.sendRtcp(Buffer.from("80c9000100000001", "hex"));
    await viewer.until(() => reports === 1);
    const recorded = viewer.sent.filter((bytes) => bytes[0]! >= 20);
    viewer.keepsSent = false;
    viewer.isSilent = true;
    const before = port.stats;
    let bytes = 0;
    for (let sent = 0; sent < datagrams;) {
      const taken = port.stats["datagramsIn"]!;
      const count = Math.min(slice, datagrams - sent);
      for (let i = 0; i < count; i++) {
        const datagram = recorded[(sent + i) % recorded.length]!;
        bytes += datagram.length;
        viewer.send(datagram);
      }
      await untilTaken(port, taken + count);
      sent += count;
    }
    const hasMedia = await hearsMedia(port, peer, viewer);
    const isHurt = peer.state !== "connected" || reports !== 1 || !hasMedia;
    return {
      sent: datagrams,
      hurt: Number(isHurt),
      ratio: (port.stats["controlBytesOut"]! - before["controlBytesOut"]!) / bytes,
    };
  } finally {
    viewer.close();
    await port.close();
  }
}

async function hearsMedia(port: MediaPort, peer: PeerTransport, viewer: TransportViewer): Promise<boolean> {
  offerMedia(port, peer);
  return viewer
    .until(() => viewer.rtp.length === 1)
    .then(
      () => true,
      () => false,
    );
}

/** The first flight of a viewer that is not there. */
async function recordHello(port: MediaPort): Promise<readonly Uint8Array[]> {
  const viewer = await TransportViewer.open({ iceUfrag: "nobody" } as PeerTransport, port.candidates[0]!);
  const taken = port.stats["datagramsIn"]!;
  const flight = viewer.startDtls().map((bytes) => Uint8Array.from(bytes));
  await untilTaken(port, taken + flight.length);
  viewer.close();
  return flight;
}

async function openSockets(count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => createSocket("udp4"));
  await Promise.all(
    sockets.map((socket) => {
      socket.bind(0, "127.0.0.1");
      return once(socket, "listening");
    }),
  );
  return sockets;
}

/** Looked at in every turn: a slice takes less time than a timer. */
async function untilTaken(port: MediaPort, datagrams: number): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (port.stats["datagramsIn"]! < datagrams) {
    if (performance.now() > deadlineMs) throw new Error("datagrams were lost on their way to the port");
    await new Promise((resolve) => setImmediate(resolve));
  }
}
