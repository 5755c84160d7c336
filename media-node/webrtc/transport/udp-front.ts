import { createSocket, type Socket, type SocketOptions } from "node:dgram";
import { once } from "node:events";
import { isIPv4 } from "node:net";
import { messageOf, TransportError } from "../../flow/errors.ts";
import type { NativeLibrary } from "../native/library.ts";
import type { Slab } from "../native/slab.ts";
import { MmsgOutlet, openUdpSocket } from "../native/udp-socket.ts";
import type { DatagramOutlet } from "./packet-outlet.ts";
import type { Path } from "./path.ts";
import { countUnreachable, PortableOutlet, portableSlabBytes } from "./portable-outlet.ts";
import type { PortCounters } from "./port-counters.ts";

export type SendTier = "ffi-gso" | "ffi" | "portable";

/** One UDP socket of the port: what comes in is handed to `receive`, what goes out takes the outlet. */
export class UdpFront {
  readonly outlet: DatagramOutlet;
  readonly address: string;
  readonly port: number;
  readonly #socket: Socket;
  readonly #counters: PortCounters;

  private constructor(socket: Socket, outlet: DatagramOutlet, counters: PortCounters) {
    this.#socket = socket;
    this.outlet = outlet;
    this.#counters = counters;
    ({ address: this.address, port: this.port } = socket.address());
  }

  /**
   * @param options.receive gets a view that is valid during the call, and must not throw
   * @throws {TransportError} `UDP_BIND`
   */
  static async open(options: {
    readonly address: string;
    readonly port: number;
    readonly tier: SendTier;
    readonly library: NativeLibrary;
    readonly packetSlab: (byteLength: number) => Slab;
    readonly counters: PortCounters;
    readonly receive: (datagram: Uint8Array, address: string, port: number, front: UdpFront) => void;
  }): Promise<UdpFront> {
    const { address, port, tier, library, counters } = options;
    const isV4 = isIPv4(address);
    // The address is a literal always; the default look-up would defer every send by a tick.
    const lookup: SocketOptions["lookup"] = (host, _, done) => done(null, host, isV4 ? 4 : 6);
    const socket = createSocket({ type: isV4 ? "udp4" : "udp6", ipv6Only: !isV4, lookup });
    const { sockets } = library;
    const fd = tier === "portable" || !sockets ? undefined : openUdpSocket(library, sockets, address, port);
    const failed = once(socket, "error").then(([error]) => {
      throw new TransportError("UDP_BIND", `UDP ${address} port ${port}: ${messageOf(error)}`);
    });
    failed.catch(() => {});
    // Given a descriptor, the socket listens before `bind` returns.
    const listening = once(socket, "listening");
    if (fd === undefined) socket.bind({ address, port });
    else socket.bind({ fd });
    await Promise.race([listening, failed]);
    socket.removeAllListeners("error");
    socket.on("error", () => counters.socketErrors++);
    const outlet =
      fd === undefined
        ? new PortableOutlet(socket, options.packetSlab(portableSlabBytes), counters.outlet)
        : new MmsgOutlet(library, sockets!, fd, { isV4, withTrains: tier === "ffi-gso", counters: counters.outlet });
    if (fd === undefined) enlargeBuffers(socket);
    const front = new UdpFront(socket, outlet, counters);
    socket.on("message", (bytes, from) => options.receive(bytes, from.address, from.port, front));
    return front;
  }

  path(address: string, port: number, key: string): Path {
    return new UdpPath(this, address, port, key);
  }

  async close(): Promise<void> {
    this.outlet.flush();
    this.outlet.close();
    const closed = once(this.#socket, "close");
    this.#socket.close();
    await closed;
  }

  /** One control message, which is not waited for. */
  send(datagram: Uint8Array, address: string, port: number): void {
    this.#counters.controlOut++;
    this.#counters.controlBytesOut += datagram.length;
    this.#socket.send(datagram, port, address, countUnreachable(this.#counters.outlet));
  }
}

class UdpPath implements Path {
  readonly protocol = "udp";
  readonly key: string;
  readonly address: string;
  readonly port: number;
  readonly backlogBytes = 0;
  readonly outlet: DatagramOutlet;
  readonly #front: UdpFront;

  constructor(front: UdpFront, address: string, port: number, key: string) {
    this.#front = front;
    this.outlet = front.outlet;
    this.address = address;
    this.port = port;
    this.key = key;
  }

  send(datagram: Uint8Array): void {
    this.#front.send(datagram, this.address, this.port);
  }

  adopt(): void {}

  release(): void {}

  openDestination(): number {
    return this.outlet.openDestination(this.address, this.port);
  }

  closeDestination(destination: number): void {
    this.outlet.closeDestination(destination);
  }
}

const portableBufferBytes = 4 << 20;

function enlargeBuffers(socket: Socket): void {
  try {
    socket.setRecvBufferSize(portableBufferBytes);
    socket.setSendBufferSize(portableBufferBytes);
  } catch {
    // Some systems refuse more than their limit instead of giving what they have; the default does then.
  }
}
