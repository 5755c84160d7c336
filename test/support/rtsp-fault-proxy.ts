import { createSocket, type Socket as Datagrams } from "node:dgram";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** What happens to datagrams from server to client. */
export interface DatagramFaults {
  /** Share lost, 0…1. */
  readonly loss: number;
  /** Each datagram is this much later at most, on its own: later ones overtake it. */
  readonly jitterMs: number;
  /** 0 ≤ x < 1 */
  readonly random: () => number;
}

/**
 * Stands between an RTSP client and a server on loopback: breaks and stalls the connection on command, and takes
 * datagrams through ports of its own, where some are lost or late.
 */
export class RtspFaultProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #targetPort: number;
  readonly #faults: DatagramFaults | undefined;
  readonly #links = new Set<readonly [Socket, Socket]>();
  readonly #datagrams: Datagrams[] = [];
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Datagrams lost on the way. */
  dropped = 0;
  /** Connections taken so far. */
  connections = 0;

  private constructor(targetPort: number, faults: DatagramFaults | undefined) {
    this.#targetPort = targetPort;
    this.#faults = faults;
    this.#server = createServer((client) => this.#onClient(client));
  }

  static async open(targetPort: number, faults?: DatagramFaults): Promise<RtspFaultProxy> {
    const proxy = new RtspFaultProxy(targetPort, faults);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resets every connection, in the middle of whatever they carry. */
  cut(): void {
    for (const [client, server] of this.#links) {
      client.resetAndDestroy();
      server.destroy();
    }
  }

  /** Nothing passes any more on connections there are, which stay open. New ones work. */
  freeze(): void {
    for (const link of this.#links) {
      for (const socket of link) socket.pause();
    }
  }

  #onClient(client: Socket): void {
    this.connections++;
    const server = connect(this.#targetPort, "127.0.0.1");
    const link = [client, server] as const;
    this.#links.add(link);
    const onGone = (): void => {
      this.#links.delete(link);
      client.destroy();
      server.destroy();
    };
    for (const socket of link) socket.on("error", onGone).on("close", onGone);
    let rewriting = Promise.resolve();
    client.on("data", (chunk: Buffer) => {
      if (this.#faults === undefined) server.write(chunk);
      else rewriting = rewriting.then(async () => void server.write(await this.#withOwnPorts(chunk)));
    });
    server.on("data", (chunk: Buffer) => void client.write(chunk));
  }

  /** A SETUP request that names our ports instead of the client's; requests come whole, one a chunk. */
  async #withOwnPorts(chunk: Buffer): Promise<Buffer> {
    const text = chunk.toString("latin1");
    const ports = /client_port=(\d+)-(\d+)/.exec(text);
    if (!ports) return chunk;
    const first = await this.#openPair(Number(ports[1]), Number(ports[2]));
    return Buffer.from(text.replace(ports[0], `client_port=${first}-${first + 1}`), "latin1");
  }

  async #openPair(rtpPort: number, rtcpPort: number): Promise<number> {
    for (;;) {
      const rtp = await bound(0);
      const { port } = rtp.address();
      const rtcp = port % 2 === 0 ? await bound(port + 1).catch(() => undefined) : undefined;
      if (!rtcp) {
        rtp.close();
        continue;
      }
      this.#datagrams.push(rtp, rtcp);
      rtp.on("message", (bytes) => this.#carry(() => rtp.send(bytes, rtpPort, "127.0.0.1")));
      rtcp.on("message", (bytes) => rtcp.send(bytes, rtcpPort, "127.0.0.1"));
      return port;
    }
  }

  #carry(send: () => void): void {
    const { loss, jitterMs, random } = this.#faults!;
    if (random() < loss) {
      this.dropped++;
      return;
    }
    if (jitterMs === 0) return send();
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      send();
    }, random() * jitterMs);
    this.#timers.add(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    for (const timer of this.#timers) clearTimeout(timer);
    for (const socket of this.#datagrams) socket.close();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}

/** @throws when the port is taken */
async function bound(port: number): Promise<Datagrams> {
  const socket = createSocket("udp4");
  socket.bind(port, "127.0.0.1");
  await once(socket, "listening");
  socket.on("error", () => {});
  return socket;
}
