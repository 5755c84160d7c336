import type { OpenSource } from "../core/source.ts";
import { ProtocolError, TransportError } from "../flow/errors.ts";
import { withoutSecrets, type Logger } from "../flow/logger.ts";
import type { Clock } from "../time/clock.ts";
import { RtspSession, type DialRtsp, type RtspOutcome } from "./rtsp-session.ts";
import { followRedirect, parseRtspUrl, takeTransport, type RtspTransportChoice, type RtspUrl } from "./rtsp-url.ts";

export type { DialRtsp } from "./rtsp-session.ts";

/** What a rule may say about its camera, `transport` by `?transport=` in its Url. Never taken from a viewer's request. */
export interface RtspPullSettings {
  /**
   * `tcp`: media within the RTSP connection. `udp`: datagrams, and TCP where none gets through.
   * `auto` (default): TCP, and UDP where the server refuses TCP. `rtsps://` is always `tcp`.
   */
  readonly transport?: RtspTransportChoice;
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
const transportsOf = { auto: ["tcp", "udp"], tcp: ["tcp"], udp: ["udp", "tcp"], tls: ["tcp"] } as const;
/** Errors of a transport that was granted and does not work; TCP may. */
const transportErrors = new Set(["RTSP_TRANSPORT", "RTSP_UDP_SILENT", "RTSP_NO_PORTS"]);
/** Servers take a stream down after they have answered; one that is asked for it again in that moment says 503. */
const settleMs = 250;

/**
 * Pulls `rtsp://` and `rtsps://` URLs (RFC 2326).
 *
 * Timestamps count from `hearthEpochMs`: by the server's own clock where its RTCP sender reports are within 10 s of
 * ours, else by arrival. `isEpochShared` is always true: for the nodes behind it, the node that pulls is the authority.
 */
export function openRtspSource(options: RtspSourceOptions): OpenSource {
  return (url, { signal, ignoresSourceClock = false, isProbe = false }) => {
    const settingsOf = (asked: string): RtspPullSettings => ({
      ...(ignoresSourceClock && { ignoresSenderReports: true }),
      ...options.settingsOf?.(asked),
    });
    return openRtspSession(url, { ...options, settingsOf }, signal, isProbe);
  };
}

/** The same, with what a probe wants to know besides. */
export async function openRtspSession(
  url: string,
  options: RtspSourceOptions,
  signal: AbortSignal,
  isProbe = false,
): Promise<RtspSession> {
  const { url: address, transport } = takeTransport(url);
  let target = parseRtspUrl(address);
  const settings = { ...(transport && { transport }), ...options.settingsOf?.(url) };
  for (let hop = 0; ; hop++) {
    const outcome = await openOne(target, settings, { ...options, isProbe }, signal);
    if ("session" in outcome) return outcome.session;
    const next = followRedirect(target, outcome.location);
    if (!next || hop === maxRedirects) {
      const message = next ? `more than ${maxRedirects} redirects` : "a redirect to a place the rule does not name";
      throw new ProtocolError("RTSP_REDIRECT", `${message}: ${withoutSecrets(outcome.location)}`);
    }
    target = next;
  }
}

async function openOne(
  url: RtspUrl,
  settings: RtspPullSettings,
  options: RtspSourceOptions & { readonly isProbe: boolean },
  signal: AbortSignal,
): Promise<RtspOutcome> {
  const { dial, dialTls, clock, logger, random = Math.random, isProbe } = options;
  const dialThis = url.isSecure ? dialTls : dial;
  if (!dialThis) throw new TransportError("RTSP_NO_TLS", "this node has no TLS for rtsps:// URLs");
  const ignoresSenderReports = settings.ignoresSenderReports ?? false;
  const open = (transports: readonly ("tcp" | "udp")[]): Promise<RtspOutcome> =>
    new RtspSession({ url, transports, ignoresSenderReports, dial: dialThis, clock, logger, random, isProbe }).open(
      signal,
    );
  // Datagrams beside a TLS connection would be in the clear.
  const transports = transportsOf[url.isSecure ? "tls" : (settings.transport ?? "auto")];
  try {
    return await open(transports);
  } catch (thrown) {
    const isTransport = thrown instanceof ProtocolError || thrown instanceof TransportError;
    const others = transports.slice(1);
    if (!isTransport || !transportErrors.has(thrown.code) || others.length === 0 || signal.aborted) throw thrown;
    logger.info("trying the other transport", { source: withoutSecrets(url.requestUri), error: thrown.message });
    await new Promise<void>((resolve) => void clock.after(settleMs, resolve));
    return open(others);
  }
}
