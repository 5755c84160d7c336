import { createSocket, type Socket } from "node:dgram";
import { isIPv6 } from "node:net";
import { messageOf, TransportError } from "../flow/errors.ts";

export interface UdpPortsOptions {
  /** The server's address as its RTSP connection shows it: nobody else may send media. Undefined = unknown. */
  readonly serverAddress: string | undefined;
  readonly onRtp: (packet: Uint8Array) => void;
  readonly onRtcp: (packet: Uint8Array) => void;
}

/** RTP wants an even port and the odd one above it (RFC 3550 §11), which the system does not hand out in pairs. */
const bindAttempts = 32;
/** A key frame arrives as one burst; the default of 208 kB loses its end. */
const receiveBufferBytes = 2 * 1024 * 1024;

/** A pair of UDP sockets for one track: RTP and RTCP. Whoever opens it closes it. */
export class UdpPorts {
  readonly #rtp: Socket;
  readonly #rtcp: Socket;
  readonly #options: UdpPortsOptions;
  #senders: Set<string>;
  #serverPorts: readonly [number, number] | undefined;
  #strangers = 0;

  private constructor(rtp: Socket, rtcp: Socket, options: UdpPortsOptions) {
    this.#rtp = rtp;
    this.#rtcp = rtcp;
    this.#options = options;
    this.#senders = new Set(options.serverAddress === undefined ? [] : [plainAddress(options.serverAddress)]);
    rtp.on("message", (packet, { address }) => {
      if (this.#isFromServer(address)) options.onRtp(packet);
    });
    rtcp.on("message", (packet, { address }) => {
      if (this.#isFromServer(address)) options.onRtcp(packet);
    });
    // A refused datagram (ICMP) is no reason to end anything: silence is noticed elsewhere.
    rtp.on("error", () => {});
    rtcp.on("error", () => {});
  }

  /** @throws {TransportError} when no pair of ports is free */
  static async open(options: UdpPortsOptions): Promise<UdpPorts> {
    let cause: unknown;
    for (let attempt = 0; attempt < bindAttempts; attempt++) {
      const family = isIPv6(plainAddress(options.serverAddress ?? "")) ? "udp6" : "udp4";
      const rtp = createSocket({ type: family, recvBufferSize: receiveBufferBytes });
      const rtcp = createSocket({ type: family });
      try {
        const port = await bind(rtp, 0);
        if (port % 2 === 0) {
          await bind(rtcp, port + 1);
          return new UdpPorts(rtp, rtcp, options);
        }
      } catch (thrown) {
        cause = thrown;
      }
      await Promise.all([closeSocket(rtp), closeSocket(rtcp)]);
    }
    throw new TransportError("RTSP_NO_PORTS", `no pair of UDP ports is free: ${messageOf(cause)}`, { cause });
  }

  /** RTP and RTCP port, for `client_port`. */
  get ports(): readonly [number, number] {
    return [this.#rtp.address().port, this.#rtcp.address().port];
  }

  /** Datagrams from anyone but the server. */
  get strangers(): number {
    return this.#strangers;
  }

  /**
   * Where the server sends from. A first datagram to each of its ports opens the way through our address translation.
   * @param source an address the server names besides its own
   */
  connect(serverPorts: readonly [number, number], source: string | undefined): void {
    this.#serverPorts = serverPorts;
    if (source !== undefined) this.#senders.add(plainAddress(source));
    // Version 2, payload type 96, nothing else: the smallest thing that is still RTP.
    this.#send(this.#rtp, Uint8Array.of(0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), serverPorts[0]);
    this.#send(this.#rtcp, Uint8Array.of(0x80, 201, 0, 1, 0, 0, 0, 0), serverPorts[1]);
  }

  sendRtcp(packet: Uint8Array): void {
    if (this.#serverPorts) this.#send(this.#rtcp, packet, this.#serverPorts[1]);
  }

  async close(): Promise<void> {
    await Promise.all([closeSocket(this.#rtp), closeSocket(this.#rtcp)]);
  }

  #send(socket: Socket, packet: Uint8Array, port: number): void {
    const { serverAddress } = this.#options;
    if (serverAddress !== undefined && port > 0) socket.send(packet, port, plainAddress(serverAddress), () => {});
  }

  #isFromServer(address: string): boolean {
    if (this.#senders.size === 0 || this.#senders.has(plainAddress(address))) return true;
    this.#strangers++;
    return false;
  }
}

/** `::ffff:192.0.2.1` is 192.0.2.1. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:/i, "");
}

function bind(socket: Socket, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, () => {
      socket.off("error", reject);
      resolve(socket.address().port);
    });
  });
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    try {
      socket.close(() => resolve());
    } catch {
      resolve();
    }
  });
}
