import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { silentLogger } from "../../media-node/flow/logger.ts";
import { ManualClock } from "../../media-node/time/manual-clock.ts";
import type { MediaPort, PeerTransport } from "../../media-node/webrtc/media-port.ts";
import { openMediaPort } from "../../media-node/webrtc/transport/open-media-port.ts";
import { serializeStun, stunAttributes, stunTypes } from "../../media-node/webrtc/transport/stun.ts";
import { makeCheck, TransportViewer, viewerCertificate } from "./transport-viewer.ts";
import { until } from "./until.ts";

interface Viewer {
  readonly peer: PeerTransport;
  readonly viewer: TransportViewer;
}

/** What can be said of one kind of probe after all its packets were sent. */
export interface ProbeOutcome {
  readonly name: string;
  readonly packets: number;
  /** Live sessions that ended, or got no media afterwards. */
  readonly hurt: number;
  /** Bytes that the port sent for each byte of the probe; media not counted. */
  readonly ratio: number;
  /** Peers, address pairs and waiting handshakes more than before. */
  readonly kept: number;
}

export interface ProbeRun {
  /** Of each kind. */
  readonly packets: number;
  readonly viewers: number;
  /** Sockets that packets "from many ports" come from. */
  readonly ports: number;
}

/** Who sends the probe: nobody the port knows, many of those, or whoever can write a viewer's address on his packets. */
type Sender = "outsider" | "many" | "spoofed";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");
/** A DTLS record's header (RFC 6347 §4.1) with an epoch and a sequence number nobody has used. */
const record = (type: number, epoch: number, body: Buffer): Buffer =>
  Buffer.concat([Buffer.of(type, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0x70, 0x11, 0, body.length), body]);
/** A ClientHello without extensions, as werift's old probe: 69 bytes. */
const clientHello = record(
  22,
  0,
  Buffer.concat([
    hex("01 00002c 0000 000000 00002c fefd"),
    Buffer.alloc(32, 7),
    hex("00 00 0002 c02b 01 00 0000"),
  ]).subarray(0, 56),
);
const unsigned = (peer: PeerTransport, username: string): Uint8Array =>
  serializeStun(stunTypes.bindingRequest, randomBytes(12).toString("hex"), [
    [stunAttributes.username, Buffer.from(username === "" ? `${peer.iceUfrag}:x` : username)],
    [stunAttributes.useCandidate, new Uint8Array()],
    [stunAttributes.iceControlling, Buffer.alloc(8, 1)],
  ]);

const bareCheck = (): Uint8Array => serializeStun(stunTypes.bindingRequest, randomBytes(12).toString("hex"), []);

/** Every probe of an outsider that is known to have hurt some server, and its variants from a viewer's own address. */
const probes: readonly (readonly [name: string, from: Sender, make: (victim: Viewer) => Uint8Array])[] = [
  ["a plaintext DTLS alert", "outsider", () => hex("15feff0000000000000000 0002 0228")],
  ["a plaintext ClientHello", "outsider", () => clientHello],
  ["a check without integrity for a stranger", "outsider", ({ peer }) => unsigned(peer, "someone:else")],
  ["a check without integrity for a viewer", "outsider", ({ peer }) => unsigned(peer, "")],
  ["a check with a wrong password", "outsider", ({ peer }) => makeCheck(peer, { password: "wrong" })],
  ["a check for a user that is not there", "outsider", ({ peer }) => makeCheck(peer, { username: "nobody:x" })],
  ["a check without credentials, from many ports", "many", () => bareCheck()],
  ["a check with a wrong password, from many ports", "many", ({ peer }) => makeCheck(peer, { password: "wrong" })],
  ["RTCP of nobody", "outsider", () => Buffer.concat([Buffer.of(0x80, 0xc9), randomBytes(60)])],
  ["RTP of nobody", "outsider", () => Buffer.concat([Buffer.of(0x80, 0x60), randomBytes(200)])],
  ["noise", "outsider", () => randomBytes(100)],
  ["one byte", "outsider", () => Buffer.of(22)],
  ["spoofed: a fatal alert in plaintext", "spoofed", () => record(21, 0, hex("0228"))],
  ["spoofed: close_notify in plaintext", "spoofed", () => record(21, 0, hex("0100"))],
  ["spoofed: a new ClientHello", "spoofed", () => clientHello],
  ["spoofed: a forged alert of the session's epoch", "spoofed", () => record(21, 1, randomBytes(26))],
  ["spoofed: a forged record of the session's epoch", "spoofed", () => record(23, 1, randomBytes(60))],
  ["spoofed: a record of an epoch to come", "spoofed", () => record(23, 2, randomBytes(26))],
  [
    "spoofed: a handshake message of 16 MB",
    "spoofed",
    () => record(22, 0, hex("01 ffffff 0000 000000 000010 00000000000000000000000000000000")),
  ],
  ["spoofed: RTCP without a key", "spoofed", () => Buffer.concat([Buffer.of(0x80, 0xc9), randomBytes(60)])],
  ["spoofed: a check without integrity", "spoofed", ({ peer }) => unsigned(peer, "")],
  [
    "spoofed: an answer nobody asked for",
    "spoofed",
    () => serializeStun(stunTypes.bindingSuccess, randomBytes(12).toString("hex"), [], "any password"),
  ],
];

/** Opens a port with live viewers, throws every kind of probe at it, and reports kind by kind. */
export async function runProbes({ packets, viewers: count, ports }: ProbeRun): Promise<ProbeOutcome[]> {
  await using world = await ProbeWorld.open(count, ports);
  const outcomes: ProbeOutcome[] = [];
  for (const [name, from, make] of probes) outcomes.push(await world.probe(name, from, make, packets));
  outcomes.push(await world.replay(packets), await world.beforeTheFirstCheck(packets));
  return outcomes;
}

class ProbeWorld implements AsyncDisposable {
  readonly #port: MediaPort;
  readonly #viewers: Viewer[] = [];
  readonly #many: ReturnType<typeof createSocket>[] = [];
  #rtcpIn = 0;
  #packetIndex = 1;

  private constructor(port: MediaPort) {
    this.#port = port;
  }

  static async open(viewers: number, ports: number): Promise<ProbeWorld> {
    const port = await openMediaPort({
      addresses: ["127.0.0.1"],
      advertisedAddresses: ["127.0.0.1"],
      // Nobody's consent runs out while probes are sent.
      clock: new ManualClock(),
      logger: silentLogger,
    });
    const world = new ProbeWorld(port);
    for (let i = 0; i < viewers; i++) world.#viewers.push(await world.#connect());
    for (let i = 0; i < ports; i++) {
      const socket = createSocket("udp4");
      socket.bind(0, "127.0.0.1");
      await once(socket, "listening");
      world.#many.push(socket);
    }
    return world;
  }

  async probe(
    name: string,
    from: Sender,
    make: (victim: Viewer) => Uint8Array,
    packets: number,
  ): Promise<ProbeOutcome> {
    const outsider = await TransportViewer.open({ iceUfrag: "nobody" } as PeerTransport, this.#port.candidates[0]!);
    const { port } = this.#port.candidates[0]!;
    const send = (index: number): number => {
      const victim = this.#viewers[index % this.#viewers.length]!;
      const bytes = make(victim);
      if (from === "many") this.#many[index % this.#many.length]!.send(bytes, port, "127.0.0.1");
      else (from === "outsider" ? outsider : victim.viewer).send(bytes);
      return bytes.length;
    };
    const outcome = await this.#measure(name, packets, send);
    outsider.close();
    return outcome;
  }

  /** What a viewer once sent, again and again, from its own address: it counts once. */
  async replay(packets: number): Promise<ProbeOutcome> {
    const sealed = this.#viewers.map(({ viewer }) =>
      viewer.sealRtcp(hex("81c90007 0000abcd 00000001 00000000 00000000 00000000 00000000 00000000")),
    );
    const before = this.#rtcpIn;
    const outcome = await this.#measure("spoofed: a report, replayed", packets, (index) => {
      const at = index % sealed.length;
      this.#viewers[at]!.viewer.send(sealed[at]!);
      return sealed[at]!.length;
    });
    const accepted = this.#rtcpIn - before - Math.min(packets, sealed.length);
    return { ...outcome, hurt: outcome.hurt + Math.max(0, accepted) };
  }

  /** Whose viewer has not come yet cannot be taken by who comes first without its password. */
  async beforeTheFirstCheck(packets: number): Promise<ProbeOutcome> {
    const peer = this.#openPeer();
    const outsider = await TransportViewer.open(peer, this.#port.candidates[0]!);
    const outcome = await this.#measure("a check without integrity, before the viewer's first", packets, () => {
      const bytes = unsigned(peer, "");
      outsider.send(bytes);
      return bytes.length;
    });
    const viewer = await TransportViewer.open(peer, this.#port.candidates[0]!);
    await viewer.connect();
    this.#viewers.push({ peer, viewer });
    const hurt = outcome.hurt + (await this.#countHurt());
    outsider.close();
    return { ...outcome, hurt };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { viewer } of this.#viewers) viewer.close();
    await Promise.all(this.#many.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
    await this.#port.close();
  }

  #openPeer(): PeerTransport {
    const peer = this.#port.open({ onState() {}, onRtcp: () => this.#rtcpIn++ });
    peer.setRemote({ fingerprints: [viewerCertificate.fingerprint] });
    return peer;
  }

  async #connect(): Promise<Viewer> {
    const peer = this.#openPeer();
    const viewer = await TransportViewer.open(peer, this.#port.candidates[0]!);
    await viewer.connect();
    return { peer, viewer };
  }

  async #measure(name: string, packets: number, send: (index: number) => number): Promise<ProbeOutcome> {
    const before = this.#port.stats;
    const stateBefore = this.#state();
    let bytes = 0;
    for (let sent = 0; sent < packets;) {
      const slice = Math.min(100, packets - sent);
      const taken = this.#port.stats["datagramsIn"]!;
      for (let i = 0; i < slice; i++) bytes += send(sent + i);
      await this.#untilTaken(taken + slice);
      sent += slice;
    }
    const kept = this.#state() - stateBefore;
    const ratio = (this.#port.stats["controlBytesOut"]! - before["controlBytesOut"]!) / bytes;
    return { name, packets, hurt: await this.#countHurt(), ratio, kept };
  }

  /** Looked at in every turn: a slice takes less time than a timer. */
  async #untilTaken(datagrams: number): Promise<void> {
    const deadlineMs = performance.now() + 10_000;
    while (this.#port.stats["datagramsIn"]! < datagrams) {
      if (performance.now() > deadlineMs) throw new Error("datagrams were lost on their way to the port");
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #state(): number {
    const { peers = 0, paths = 0, handshakesWaiting = 0 } = this.#port.stats;
    return peers + paths + handshakesWaiting;
  }

  /** Sends everybody a frame, and counts who does not get it. */
  async #countHurt(): Promise<number> {
    const slab = Buffer.alloc(3 * 1_000);
    for (let i = 0; i < 3; i++) slab[i * 1_000] = 0x80;
    const batch = { slab, offsets: Uint32Array.of(0, 1_000, 2_000, 3_000), count: 3 };
    for (const { peer, viewer } of this.#viewers) {
      viewer.rtp.length = viewer.received.length = 0;
      peer.queueRtp(batch, 0, 3, { ssrc: 1, payloadType: 98, packetIndex: this.#packetIndex });
    }
    this.#packetIndex += 3;
    this.#port.flush();
    const isFine = ({ peer, viewer }: Viewer): boolean => peer.state === "connected" && viewer.rtp.length === 3;
    await until("everybody has the frame", 2_000, () => this.#viewers.every(isFine)).catch(() => {});
    return this.#viewers.filter((viewer) => !isFine(viewer)).length;
  }
}
