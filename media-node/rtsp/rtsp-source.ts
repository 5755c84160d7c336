import type { OpenSource } from "../core/source.ts";
import { ProtocolError, TransportError } from "../flow/errors.ts";
import { withoutSecrets, type Logger } from "../flow/logger.ts";
import type { Clock } from "../time/clock.ts";
import { RtspSession, type DialRtsp, type RtspOutcome } from "./rtsp-session.ts";
import { followRedirect, parseRtspUrl, type RtspUrl } from "./rtsp-url.ts";

export type { DialRtsp } from "./rtsp-session.ts";

/** What a rule may say about its camera. Never taken from a viewer's request. */
export interface RtspPullSettings {
  /**
   * `tcp`: media within the RTSP connection. `udp`: datagrams, and TCP where none gets through.
   * `auto` (default): TCP, and UDP where the server refuses TCP.
   */
  readonly transport?: "auto" | "tcp" | "udp";
  /** OvenMediaEngine's `IgnoreRtcpSRTimestamp`: for cameras whose sender reports are wrong. */
  readonly ignoresSenderReports?: boolean;
}

export interface RtspSourceOptions {
  readonly dial: DialRtsp;
  /** The same with TLS, for `rtsps://`; without it such URLs are refused. */
  readonly dialTls?: DialRtsp;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly random?: () => number;
  /** Asked once for every attempt. */
  readonly settingsOf?: (url: string) => RtspPullSettings;
}

const maxRedirects = 3;
const transportOrder = { auto: ["tcp", "udp"], tcp: ["tcp"], udp: ["udp", "tcp"] } as const;
/** Errors after which the other transport may still work. */
const transportErrors = new Set(["RTSP_TRANSPORT", "RTSP_UDP_SILENT", "RTSP_NO_PORTS"]);

/**
 * Pulls `rtsp://` and `rtsps://` URLs (RFC 2326).
 *
 * Timestamps count from `hearthEpochMs`: by the server's own clock where its RTCP sender reports are within 10 s of
 * ours, else by arrival. `isEpochShared` is always true: for the nodes behind it, the node that pulls is the authority.
 */
export function openRtspSource(options: RtspSourceOptions): OpenSource {
  return async (url, { signal }) => {
    let target = parseRtspUrl(url);
    const settings = options.settingsOf?.(url) ?? {};
    for (let hop = 0; ; hop++) {
      const outcome = await openByAnyTransport(target, settings, options, signal);
      if ("source" in outcome) return outcome.source;
      const next = followRedirect(target, outcome.location);
      if (!next || hop === maxRedirects) {
        const message = next ? `more than ${maxRedirects} redirects` : "a redirect to a place the rule does not name";
        throw new ProtocolError("RTSP_REDIRECT", `${message}: ${withoutSecrets(outcome.location)}`);
      }
      target = next;
    }
  };
}

async function openByAnyTransport(
  url: RtspUrl,
  settings: RtspPullSettings,
  options: RtspSourceOptions,
  signal: AbortSignal,
): Promise<RtspOutcome> {
  const { dial, dialTls, clock, logger, random = Math.random } = options;
  const dialThis = url.isSecure ? dialTls : dial;
  if (!dialThis) throw new TransportError("RTSP_NO_TLS", "this node has no TLS for rtsps:// URLs");
  const order = transportOrder[settings.transport ?? "auto"];
  const ignoresSenderReports = settings.ignoresSenderReports ?? false;
  for (const [index, transport] of order.entries()) {
    const session = new RtspSession({ url, transport, ignoresSenderReports, dial: dialThis, clock, logger, random });
    try {
      return await session.open(signal);
    } catch (thrown) {
      const isTransport =
        (thrown instanceof ProtocolError || thrown instanceof TransportError) && transportErrors.has(thrown.code);
      if (!isTransport || index + 1 === order.length || signal.aborted) throw thrown;
      logger.info("trying the other transport", { source: withoutSecrets(url.requestUri), error: thrown.message });
    }
  }
  throw new Error("every order of transports holds at least one");
}
