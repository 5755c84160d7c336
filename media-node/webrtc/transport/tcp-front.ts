import { once } from "node:events";
import { createServer, isIPv4, type Server, type Socket } from "node:net";
import { messageOf, TransportError } from "../../flow/errors.ts";
import type { Clock, Timer } from "../../time/clock.ts";
import type { Slab } from "../native/slab.ts";
import { maxPacketBytes, type PacketOutlet } from "./packet-outlet.ts";
import type { Path } from "./path.ts";
import type { PortCounters } from "./port-counters.ts";
import { TcpFrames } from "./tcp-frames.ts";

/** From the connection to the first authentic check; a browser sends one at once. */
const firstCheckMs = 10_000;
const maxConnections = 4096;
/** Connections that nobody has authenticated yet, from one address: many viewers may share one. */
const maxUnprovenPerAddress = 32;
/** The layer above drops frames long before; this is for who does not ask. */
const maxBacklogBytes = 4 << 20;

export interface TcpFrontOptions {
  readonly address: string;
  readonly port: number;
  readonly clock: Clock;
  readonly counters: PortCounters;
  readonly packetSlab: (byteLength: number) => Slab;
  /** As of a UDP socket; must not throw. */
  readonly receive: (packet: Uint8Array, connection: TcpConnection) => void;
  /** The connection is gone. */
  readonly lost: (connection: TcpConnection) => void;
}

/** ICE-TCP, passive (RFC 6544), packets framed by RFC 4571: for viewers whose network lets no UDP through. */
export class TcpFront {
  readonly options: TcpFrontOptions;
  readonly slab: Slab;
  readonly #server: Server;
  readonly #connections = new Set<TcpConnection>();
  readonly #unproven = new Map<string, number>();
  readonly #corked = new Set<TcpConnection>();
  #nextId = 0;

  private constructor(options: TcpFrontOptions, server: Server) {
    this.options = options;
    this.#server = server;
    this.slab = options.packetSlab(maxPacketBytes);
    server.on("connection", (socket) => this.#accept(socket));
  }

  /** @throws {TransportError} `TCP_BIND` */
  static async open(options: TcpFrontOptions): Promise<TcpFront> {
    const { address, port } = options;
    const server = createServer({ noDelay: true });
    try {
      server.listen({ host: address, port, ipv6Only: !isIPv4(address) });
      await once(server, "listening");
    } catch (thrown) {
      throw new TransportError("TCP_BIND", `TCP ${address} port ${port}: ${messageOf(thrown)}`, { cause: thrown });
    }
    server.on("error", () => options.counters.socketErrors++);
    return new TcpFront(options, server);
  }

  get isV4(): boolean {
    return isIPv4(this.options.address);
  }

  get port(): number {
    return this.options.port;
  }

  flush(): void {
    if (this.#corked.size === 0) return;
    for (const connection of this.#corked) connection.uncork();
    this.#corked.clear();
  }

  /** Everything `connection` writes until the next flush leaves together. */
  corked(connection: TcpConnection): void {
    this.#corked.add(connection);
  }

  proven(address: string): void {
    const count = (this.#unproven.get(address) ?? 1) - 1;
    if (count === 0) this.#unproven.delete(address);
    else this.#unproven.set(address, count);
  }

  forget(connection: TcpConnection): void {
    this.#connections.delete(connection);
    this.#corked.delete(connection);
  }

  async close(): Promise<void> {
    this.flush();
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const connection of this.#connections) connection.release();
    await closed;
  }

  #accept(socket: Socket): void {
    socket.on("error", () => {});
    const address = socket.remoteAddress;
    const port = socket.remotePort;
    const waiting = this.#unproven.get(address ?? "") ?? 0;
    if (!address || !port || this.#connections.size >= maxConnections || waiting >= maxUnprovenPerAddress) {
      this.options.counters.droppedConnections++;
      socket.destroy();
      return;
    }
    this.#unproven.set(address, waiting + 1);
    this.#connections.add(new TcpConnection(this, socket, `tcp#${this.#nextId++}`, address, port));
  }
}

/** One viewer's connection: a path and its outlet. */
export class TcpConnection implements Path, PacketOutlet {
  readonly key: string;
  readonly protocol = "tcp";
  readonly address: string;
  readonly port: number;
  readonly slab: Slab;
  readonly #front: TcpFront;
  readonly #socket: Socket;
  readonly #deadline: Timer;
  #isProven = false;
  #isCorked = false;

  constructor(front: TcpFront, socket: Socket, key: string, address: string, port: number) {
    this.#front = front;
    this.#socket = socket;
    this.key = key;
    this.address = address;
    this.port = port;
    this.slab = front.slab;
    const { clock, receive, lost } = front.options;
    const frames = new TcpFrames();
    this.#deadline = clock.after(firstCheckMs, () => this.#isProven || socket.destroy());
    socket.on("data", (bytes) => {
      try {
        frames.push(bytes, (packet) => receive(packet, this));
      } catch {
        socket.destroy();
      }
    });
    socket.once("close", () => {
      this.#deadline.cancel();
      if (!this.#isProven) front.proven(address);
      front.forget(this);
      lost(this);
    });
  }

  get outlet(): PacketOutlet {
    return this;
  }

  get backlogBytes(): number {
    return this.#socket.writableLength;
  }

  send(datagram: Uint8Array): void {
    const { counters } = this.#front.options;
    counters.controlOut++;
    counters.controlBytesOut += datagram.length;
    this.#write(datagram);
  }

  adopt(): void {
    if (this.#isProven) return;
    this.#isProven = true;
    this.#deadline.cancel();
    this.#front.proven(this.address);
  }

  /** Sends what waits, the close_notify with it. */
  release(): void {
    this.#deadline.cancel();
    this.#socket.destroySoon();
  }

  openDestination(): number {
    return 0;
  }

  closeDestination(): void {}

  reserve(): number {
    return 0;
  }

  commit(at: number, length: number): void {
    const { outlet } = this.#front.options.counters;
    if (this.#socket.writableLength > maxBacklogBytes || !this.#socket.writable) {
      outlet.droppedBacklog++;
      return;
    }
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      this.#front.corked(this);
    }
    outlet.packetsOut++;
    outlet.bytesOut += length;
    this.#write(this.slab.bytes.subarray(at, at + length));
  }

  flush(): void {}

  uncork(): void {
    this.#isCorked = false;
    this.#socket.uncork();
  }

  /** Copies: the socket keeps what it is given until it is sent. */
  #write(packet: Uint8Array): void {
    if (!this.#socket.writable) return;
    const frame = Buffer.allocUnsafe(2 + packet.length);
    frame.writeUInt16BE(packet.length);
    frame.set(packet, 2);
    this.#socket.write(frame);
  }
}
