import { ProtocolError } from "../flow/errors.ts";
import type { TransportHeader } from "./rtsp-headers.ts";
import { UdpPorts } from "./udp-ports.ts";

/** Takes packets by the track's place among those set up; `packet` may be a view into a larger buffer. */
export interface PacketSink {
  onRtp(index: number, packet: Uint8Array): void;
  onRtcp(index: number, packet: Uint8Array): void;
}

/** How media comes: within the RTSP connection, or beside it. */
export interface MediaTransport {
  readonly name: "tcp" | "udp";
  /**
   * The `Transport` header to ask for.
   * @param profile as the description has it
   */
  request(index: number, profile: string): string;
  /** @throws {ProtocolError} when the server granted something else */
  grant(index: number, transport: TransportHeader): void;
  sendRtcp(index: number, packet: Uint8Array): void;
  close(): Promise<void>;
}

/** RTP and RTCP as `$` frames of the RTSP connection (RFC 2326 §10.12). */
export class InterleavedTransport implements MediaTransport {
  readonly name = "tcp";
  readonly #sink: PacketSink;
  readonly #send: (channel: number, packet: Uint8Array) => void;
  readonly #channels = new Map<number, { readonly index: number; readonly isRtcp: boolean }>();
  readonly #rtcpChannels = new Map<number, number>();

  constructor(sink: PacketSink, send: (channel: number, packet: Uint8Array) => void) {
    this.#sink = sink;
    this.#send = send;
  }

  request(index: number, profile: string): string {
    return `${profile}/TCP;unicast;interleaved=${index * 2}-${index * 2 + 1}`;
  }

  grant(index: number, transport: TransportHeader): void {
    if (transport.isMulticast) throw notGranted("multicast");
    if (!transport.isTcp && transport.serverPorts) throw notGranted("UDP instead of TCP");
    // Servers may choose other channels; some do not name them at all.
    const [rtp, rtcp] = transport.interleaved ?? [index * 2, index * 2 + 1];
    this.#channels.set(rtcp, { index, isRtcp: true });
    this.#channels.set(rtp, { index, isRtcp: false });
    this.#rtcpChannels.set(index, rtcp);
  }

  onInterleaved(channel: number, packet: Uint8Array): void {
    const target = this.#channels.get(channel);
    if (!target) return;
    if (target.isRtcp) this.#sink.onRtcp(target.index, packet);
    else this.#sink.onRtp(target.index, packet);
  }

  sendRtcp(index: number, packet: Uint8Array): void {
    const channel = this.#rtcpChannels.get(index);
    if (channel !== undefined) this.#send(channel, packet);
  }

  async close(): Promise<void> {}
}

/** RTP and RTCP in datagrams of their own, a pair of ports a track (RFC 2326 §12.39, `client_port`). */
export class UdpTransport implements MediaTransport {
  readonly name = "udp";
  readonly #ports: readonly UdpPorts[];

  private constructor(ports: readonly UdpPorts[]) {
    this.#ports = ports;
  }

  /**
   * @param serverAddress see {@link UdpPorts}
   * @throws {TransportError} when ports run out; nothing is left open then
   */
  static async open(count: number, serverAddress: string | undefined, sink: PacketSink): Promise<UdpTransport> {
    const ports: UdpPorts[] = [];
    try {
      for (let index = 0; index < count; index++) {
        const onRtp = (packet: Uint8Array): void => sink.onRtp(index, packet);
        const onRtcp = (packet: Uint8Array): void => sink.onRtcp(index, packet);
        ports.push(await UdpPorts.open({ serverAddress, onRtp, onRtcp }));
      }
    } catch (thrown) {
      await Promise.all(ports.map((pair) => pair.close()));
      throw thrown;
    }
    return new UdpTransport(ports);
  }

  request(index: number, profile: string): string {
    return `${profile};unicast;client_port=${this.#ports[index]!.ports.join("-")}`;
  }

  grant(index: number, transport: TransportHeader): void {
    if (transport.isTcp) throw notGranted("TCP instead of UDP");
    if (transport.isMulticast) throw notGranted("multicast");
    if (transport.serverPorts) this.#ports[index]!.connect(transport.serverPorts, transport.source);
  }

  sendRtcp(index: number, packet: Uint8Array): void {
    this.#ports[index]!.sendRtcp(packet);
  }

  async close(): Promise<void> {
    await Promise.all(this.#ports.map((pair) => pair.close()));
  }
}

function notGranted(what: string): ProtocolError {
  return new ProtocolError("RTSP_TRANSPORT", `the server granted ${what}, which is not taken here`);
}
