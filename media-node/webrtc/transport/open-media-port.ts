import { randomBytes } from "node:crypto";
import { isIPv4 } from "node:net";
import { messageOf } from "../../flow/errors.ts";
import type { Logger } from "../../flow/logger.ts";
import type { Clock } from "../../time/clock.ts";
import { EvpSrtp } from "../native/evp-srtp.ts";
import { loadNativeLibrary, type NativeLibrary } from "../native/library.ts";
import type { Slab } from "../native/slab.ts";
import { canSendTrains } from "../native/udp-socket.ts";
import type { MediaPort } from "../media-port.ts";
import { reachableAddresses } from "./candidates.ts";
import { newCertificate, type NodeCertificate } from "./certificate.ts";
import type { DtlsEngine } from "./dtls-engine.ts";
import { FrontDoor } from "./front-door.ts";
import { opensslEngine } from "./openssl-engine.ts";
import { portablePacketSlab } from "./portable-outlet.ts";
import { PortCounters } from "./port-counters.ts";
import { portableSrtp } from "./portable-srtp.ts";
import type { SrtpCrypto } from "./srtp-context.ts";
import type { SrtpProfile } from "./srtp-keys.ts";
import { TcpFront } from "./tcp-front.ts";
import { UdpFront, type SendTier } from "./udp-front.ts";

export interface MediaPortOptions {
  /** Address literals to bind; default all of IPv4, and of IPv6 where the machine has it. */
  readonly addresses?: readonly string[];
  /** 0 (default) for any. */
  readonly port?: number;
  /** What candidates say, best first; default this machine's own addresses. */
  readonly advertisedAddresses?: readonly string[];
  /** A viewer is gone when nothing authentic came from it for this long; default 30 s (RFC 7675 §5.1). */
  readonly consentMs?: number;
  /** ICE-TCP on the same number; default yes. */
  readonly tcp?: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
  /** For ICE credentials; default the system's. Hand in another only in tests. */
  readonly randomBytes?: (length: number) => Uint8Array;
  /** Shared by the ports of one node; default a new one. */
  readonly certificate?: NodeCertificate;
  /**
   * Called when a check names nobody known, before it is dropped: who is told of viewers from elsewhere may open one here,
   * whose check was faster than the word of it. Cheap, since anybody can send such checks.
   */
  readonly catchUp?: () => void;
  /** Forces a slower way than the machine offers: for tests, comparisons and operators who distrust a fast one. */
  readonly force?: { readonly send?: SendTier; readonly crypto?: "portable"; readonly dtls?: "werift" };
}

/**
 * Opens a UDP port for viewers, with the fastest crypto and sending that this machine allows; what was chosen is logged
 * once and stands in {@link MediaPort.tier}.
 * @throws {TransportError} `UDP_BIND`, `TCP_BIND`
 */
export async function openMediaPort(options: MediaPortOptions): Promise<MediaPort> {
  const { clock, logger, force = {} } = options;
  const library = loadNativeLibrary();
  const certificate = options.certificate ?? newCertificate(clock.wallMs());
  const counters = new PortCounters();
  const tier = chooseSendTier(library, force.send);
  const srtp = chooseSrtp(library, force.crypto);
  const dtls = await chooseDtls(library, certificate, logger, srtp.preferred, force.dtls);
  const newPacketSlab = (byteLength: number): Slab =>
    srtp.name === "ffi" ? library.newSlab(byteLength) : portablePacketSlab(byteLength);
  const { catchUp, consentMs } = options;
  const ground = { clock, logger, randomBytes: options.randomBytes ?? randomBytes };
  const door = new FrontDoor({ dtls, srtp, counters, ...ground, consentMs, catchUp });
  let opened: OpenedFronts;
  try {
    opened = await openFronts(options, door, { tier, library, packetSlab: newPacketSlab, counters });
  } catch (thrown) {
    await door.close([]);
    throw thrown;
  }
  const { fronts, tcpFronts } = opened;
  const advertised =
    (options.advertisedAddresses?.length ?? 0) > 0 ? options.advertisedAddresses! : reachableAddresses();
  logger.info("webrtc-port-open", { port: fronts[0]!.port, send: tier, srtp: srtp.name, dtls: dtls.name });
  return door.asMediaPort({ fronts, tcpFronts, advertised, tier, fingerprint: certificate.fingerprint });
}

interface OpenedFronts {
  readonly fronts: readonly UdpFront[];
  readonly tcpFronts: readonly TcpFront[];
}

interface FrontParts {
  readonly tier: SendTier;
  readonly library: NativeLibrary;
  readonly packetSlab: (byteLength: number) => Slab;
  readonly counters: PortCounters;
}

/** The port number that UDP got may be taken for TCP, when any was asked for: then another is tried. */
const maxPortTries = 5;

async function openFronts(options: MediaPortOptions, door: FrontDoor, parts: FrontParts): Promise<OpenedFronts> {
  const { addresses = ["0.0.0.0", "::"], port = 0 } = options;
  for (let tries = 1; ; tries++) {
    const fronts: UdpFront[] = [];
    const tcpFronts: TcpFront[] = [];
    try {
      for (const address of addresses) {
        const at = { address, port: fronts[0]?.port ?? port };
        try {
          fronts.push(await UdpFront.open({ ...at, ...parts, receive: door.receiveUdp }));
        } catch (thrown) {
          if (options.addresses || isIPv4(address)) throw thrown;
          options.logger.info("webrtc-no-ipv6", { cause: messageOf(thrown) });
          continue;
        }
        if (options.tcp === false) continue;
        const { clock } = options;
        const tcpAt = { address, port: fronts[0]!.port, clock };
        tcpFronts.push(await TcpFront.open({ ...tcpAt, ...parts, receive: door.receiveTcp, lost: door.lostTcp }));
      }
      return { fronts, tcpFronts };
    } catch (thrown) {
      for (const front of [...fronts, ...tcpFronts]) await front.close();
      if (port !== 0 || tries === maxPortTries) throw thrown;
    }
  }
}

function chooseSendTier(library: NativeLibrary, forced: SendTier | undefined): SendTier {
  if (!library.sockets || forced === "portable") return "portable";
  if (forced === "ffi") return "ffi";
  return canSendTrains(library, library.sockets) ? "ffi-gso" : "ffi";
}

function chooseSrtp(library: NativeLibrary, forced: "portable" | undefined): SrtpCrypto {
  return library.evp && forced !== "portable" ? new EvpSrtp(library, library.evp) : portableSrtp;
}

async function chooseDtls(
  library: NativeLibrary,
  certificate: NodeCertificate,
  logger: Logger,
  preferred: SrtpProfile,
  forced: "werift" | undefined,
): Promise<DtlsEngine> {
  if (forced !== "werift") {
    try {
      return opensslEngine(library, certificate, preferred);
    } catch (thrown) {
      logger.warn("webrtc-dtls-fallback", { cause: messageOf(thrown), cost: "five times the CPU for each handshake" });
    }
  }
  const { weriftEngine } = await import("./werift-engine.ts");
  return weriftEngine(certificate, preferred);
}
