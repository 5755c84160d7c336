import { hostname } from "node:os";
import { Certificates, hasFiles, type CertificateSetting } from "./api/certificates.ts";
import type { NodeState } from "./api/health.ts";
import { listenForViewers, type HttpServer, type HttpServerOptions } from "./api/http-server.ts";
import { chooseVhost, matchHost } from "./cluster/origin-map/choose-vhost.ts";
import { splitPath } from "./cluster/origin-map/split-path.ts";
import type { ServerConfig, TlsConfig } from "./config/server-config.ts";
import type { HttpGuest } from "./core/guest.ts";
import type { Delivery } from "./deliveries.ts";
import { SettingError } from "./flow/errors.ts";
import type { LogFields } from "./flow/logger.ts";
import type { NodeContext } from "./node-context.ts";
import { loadNativeLibrary } from "./webrtc/native/library.ts";
import { openDirectTcp, type DirectTcp } from "./webrtc/native/direct-tcp.ts";

/** What viewers reach: the public URL, and what went out by HTTP. */
export interface ViewerDoors {
  /** Undefined for a node that only publishes. */
  readonly url: string | undefined;
  /** Of the first door that speaks TLS, under the same host. */
  readonly tlsUrl: string | undefined;
  readonly bytesSent: () => number;
  /**
   * Reads the certificates again; connections made from now on get them. One that cannot be used is left as it was.
   * @returns what is wrong, a sentence each
   */
  readonly reloadCertificates: () => readonly string[];
}

/**
 * Opens one HTTP server a port; guests with the same port share it, as in OvenMediaEngine.
 * @throws {SettingError} when a port cannot be had, or a certificate not be used
 */
export async function openViewerDoors(
  context: NodeContext,
  deliveries: readonly Delivery[],
  state: () => NodeState,
  /** Asked before the deliveries, in turn. */
  first: readonly HttpGuest[],
): Promise<ViewerDoors> {
  const { config, live, logger, group } = context;
  const plain: [number, HttpServer][] = [];
  const secure: [number, HttpServer][] = [];
  for (const { name, tls } of config.vhosts) {
    if (tls && !hasFiles(tls)) logger.error("certificate is not there", absenceOf(name, tls));
  }
  // OvenMediaEngine's own files bind TLS ports, and name files that who has a certificate puts there.
  const hasCertificate = config.vhosts.some(({ tls }) => tls && hasFiles(tls));
  const isPlainOnly = !hasCertificate && portsOf(deliveries, "port").length > 0;
  const tlsPorts = isPlainOnly ? [] : portsOf(deliveries, "tlsPort");
  if (isPlainOnly && portsOf(deliveries, "tlsPort").length > 0) {
    logger.warn("TLS ports are not opened", { remedy: "give a virtual host Host/TLS with CertPath and KeyPath" });
  }
  const certificates = tlsPorts.length > 0 ? new Certificates(certificateSettings(config)) : undefined;
  const open = async (port: number, kind: "port" | "tlsPort"): Promise<[number, HttpServer]> => {
    const guests = [...first, ...deliveries.filter(({ ports }) => ports[kind] === port).map(({ guest }) => guest)];
    const tls = kind === "tlsPort" && certificates && { certificates, hasHttp2: config.modules.hasHttp2 };
    const server = await listenForViewers({ ...doorOf(context, state), port, guests, ...(tls && schemeOf(tls)) });
    group.add(() => server.close());
    return [port, server];
  };
  for (const port of portsOf(deliveries, "port")) plain.push(await open(port, "port"));
  for (const port of tlsPorts) secure.push(await open(port, "tlsPort"));
  const servers = [...plain, ...secure].map(([, server]) => server);
  if (certificates) group.add(live.addPart({ prepare: async (next) => switchTo(certificates, next, servers) }));
  return {
    ...urlsOf(context, plain[0], secure[0]),
    bytesSent: () => servers.reduce((sum, server) => sum + server.bytesSent, 0),
    reloadCertificates: () => {
      const problems = certificates?.reload() ?? [];
      for (const server of servers) server.useCertificates();
      return problems;
    },
  };
}

const absenceOf = (vhost: string, { certPath }: TlsConfig): LogFields => ({
  vhost,
  certPath,
  remedy: "put it and its key there and restart, or remove Host/TLS; until then the virtual host has no TLS",
});

const schemeOf = (tls: NonNullable<HttpServerOptions["tls"]>): Pick<HttpServerOptions, "tls" | "scheme"> => ({
  tls,
  scheme: "https",
});

const portsOf = (deliveries: readonly Delivery[], kind: "port" | "tlsPort"): number[] => [
  ...new Set(deliveries.flatMap(({ ports }) => ports[kind] ?? [])),
];

/** Hosts whose virtual host is remembered; they are what strangers say. */
const maxHosts = 1_000;

/** The name of a host's virtual host, looked for once for as long as a configuration holds. */
function vhostsByHost(live: NodeContext["live"]): (host: string) => string | undefined {
  let config = live.now;
  const known = new Map<string, string | undefined>();
  return (host) => {
    if (config !== live.now || known.size >= maxHosts) known.clear();
    config = live.now;
    if (known.has(host)) return known.get(host);
    const choice = chooseVhost(config, host);
    const name = choice.kind === "vhost" ? choice.vhost.name : undefined;
    known.set(host, name);
    return name;
  };
}

let opened: { readonly direct: DirectTcp | undefined } | undefined;

/** One for all doors of this process (docs/decisions/direct-answers.md). */
const openDirectSockets = (): DirectTcp | undefined =>
  (opened ??= { direct: openDirectTcp(loadNativeLibrary()) }).direct;

/** What all doors have in common. */
function doorOf({ config, live, logger, address }: NodeContext, state: () => NodeState) {
  const vhostOf = vhostsByHost(live);
  return {
    ...(address !== undefined && { address }),
    resolve: (host: string, path: string) => {
      const vhost = vhostOf(host);
      if (vhost === undefined) return undefined;
      const { app, stream, file } = splitPath(path);
      return { vhost, app, stream, file };
    },
    scheme: config.hearth.publicUrl?.startsWith("https:") ? ("https" as const) : ("http" as const),
    trustedProxies: () => live.now.hearth.trustedProxies,
    state,
    logger,
    openDirectSockets,
    portSetting: "Bind/Publishers/{LLHLS,HLS,WebRTC} in Server.xml",
  };
}

function certificateSettings({ vhosts }: ServerConfig): CertificateSetting[] {
  const settings = vhosts.flatMap(({ name, hostNames, tls }) => {
    const patterns = hostNames.map((pattern) => pattern.toLowerCase());
    const hasName = (host: string): boolean => patterns.some((pattern) => matchHost(pattern, host.toLowerCase()));
    return tls ? [{ vhost: name, hasName, ...tls }] : [];
  });
  if (settings.length > 0) return settings;
  throw new SettingError(
    "A TLSPort is bound, but no virtual host has a certificate: add Host/TLS with CertPath and KeyPath to one, or remove TLSPort.",
  );
}

function switchTo(certificates: Certificates, next: ServerConfig, servers: readonly HttpServer[]): () => void {
  const switchOver = certificates.prepare(certificateSettings(next));
  return () => {
    switchOver();
    for (const server of servers) server.useCertificates();
  };
}

/** As configured; a port that was chosen here is added, since nobody could have written it down. */
function urlsOf(
  { config, logger, address }: NodeContext,
  plain: [number, HttpServer] | undefined,
  secure: [number, HttpServer] | undefined,
): Pick<ViewerDoors, "url" | "tlsUrl"> {
  const given = config.hearth.publicUrl;
  const host = given === undefined ? (config.hearth.advertisedAddresses[0] ?? address ?? hostname()) : undefined;
  const tlsUrl = secure && `https://${host ?? new URL(given!).hostname}:${secure[1].port}`;
  const first = plain ?? secure;
  if (!first) return { url: undefined, tlsUrl };
  if (given !== undefined) return { url: first[0] === 0 ? `${given}:${first[1].port}` : given, tlsUrl };
  const url = plain ? `http://${host}:${plain[1].port}` : tlsUrl;
  logger.warn("public address guessed", { url, remedy: "set Hearth/Node/PublicUrl in Server.xml" });
  return { url, tlsUrl };
}
