import type { OriginRule } from "../cluster/origin-map/origin-rule.ts";
import { buildApplication, buildCrossDomains } from "./build-application.ts";
import type { Port } from "./ports.ts";
import type { ValueOf } from "./schema.ts";
import type {
  BindConfig,
  HearthConfig,
  HttpPorts,
  IceServerConfig,
  OriginMapStoreConfig,
  OvtLinkConfig,
  OriginsConfig,
  ServerConfig,
  TlsConfig,
  VhostConfig,
} from "./server-config.ts";
import type { serverSchema } from "./server-schema.ts";

/** Server.xml as the schema read it. */
export type ServerValue = NonNullable<ValueOf<typeof serverSchema>>;
type BindValue = ServerValue["Bind"];
export type VhostValue = NonNullable<ServerValue["VirtualHosts"]>["VirtualHost"][number];
type IceServerValue = NonNullable<
  NonNullable<NonNullable<NonNullable<BindValue>["Publishers"]>["WebRTC"]>["IceServers"]
>["IceServer"][number];
type TlsValue = NonNullable<VhostValue["Host"]>["TLS"];

/** Turns what stands in the file into what the rooms take: defaults in place, units in the names, no places. */
export function buildConfig(value: ServerValue): ServerConfig {
  const crossDomains = buildCrossDomains(value.Defaults?.CrossDomains);
  const apiCrossDomains = buildCrossDomains(value.Managers?.API?.CrossDomains);
  const vhosts = (value.VirtualHosts?.VirtualHost ?? []).map(buildVhost);
  return {
    name: value.Name,
    type: value.Type,
    ips: value.IP.length > 0 ? value.IP : ["*"],
    ...(value.StunServer && { stunServer: value.StunServer }),
    hasPrivacyProtection: value.PrivacyProtection,
    bind: buildBind(value.Bind),
    managers: {
      ...(value.Managers?.API?.AccessToken && { accessToken: value.Managers.API.AccessToken }),
      ...buildTls(value.Managers?.Host?.TLS),
      ...(apiCrossDomains && { crossDomains: apiCrossDomains }),
    },
    vhosts,
    ...(crossDomains && { crossDomains }),
    modules: {
      hasHttp2: value.Modules?.HTTP2?.Enable ?? true,
      hasLlhls: value.Modules?.LLHLS?.Enable ?? true,
    },
    hearth: buildHearth(value.Hearth, vhosts[0]?.name ?? "default"),
  };
}

function buildBind(value: BindValue): BindConfig {
  const ovt = value?.Publishers?.OVT?.Port;
  const webrtc = value?.Publishers?.WebRTC;
  return {
    ...(ovt && (ovt.protocol === "srt" ? { ovtSrtPort: ovt.number } : { ovtPort: ovt.number })),
    llhls: buildPorts(value?.Publishers?.LLHLS),
    ...(value?.Publishers?.HLS && { hls: buildPorts(value.Publishers.HLS) }),
    webrtc: {
      signalling: buildPorts(webrtc?.Signalling),
      iceCandidates: webrtc?.IceCandidates?.IceCandidate.filter((candidate) => candidate !== undefined) ?? [],
      iceServers: webrtc?.IceServers?.IceServer.map(buildIceServer) ?? [],
    },
    api: buildPorts(value?.Managers?.API),
  };
}

function buildIceServer({ Urls, UserName, Credential }: IceServerValue): IceServerConfig {
  const urls = (Urls?.Url ?? []).flatMap((url) => (url ? [/^(stun|turn)s?:/i.test(url) ? url : `turn:${url}`] : []));
  return { urls, ...(UserName && { username: UserName }), ...(Credential && { credential: Credential }) };
}

function buildPorts(
  value: { readonly Port: Port | undefined; readonly TLSPort: Port | undefined } | undefined,
): HttpPorts {
  return {
    ...(value?.Port && { port: value.Port.number }),
    ...(value?.TLSPort && { tlsPort: value.TLSPort.number }),
  };
}

function buildTls(value: TlsValue): { tls?: TlsConfig } {
  if (!value || value.CertPath === "" || value.KeyPath === "") return {};
  const resolve = (path: string): string => resolveBeside(value.$.file, path);
  const tls = {
    certPath: resolve(value.CertPath),
    keyPath: resolve(value.KeyPath),
    ...(value.ChainCertPath && { chainCertPath: resolve(value.ChainCertPath) }),
  };
  return { tls };
}

/** A path as written in `file`, as it can be opened from where `file` was. */
export function resolveBeside(file: string, path: string): string {
  const slash = file.lastIndexOf("/");
  return path.startsWith("/") || slash < 0 ? path : `${file.slice(0, slash)}/${path}`;
}

function buildVhost(value: VhostValue): VhostConfig {
  const { SignedPolicy: policy, AdmissionWebhooks: webhooks } = value;
  return {
    name: value.Name,
    // A virtual host without any name is the abridged one of a documentation example: it serves whoever asks.
    hostNames: value.Host?.Names?.Name ?? (value.$.has("Name") ? [] : ["*"]),
    ...buildTls(value.Host?.TLS),
    origins: buildOrigins(value.Origins),
    ...(value.OriginMapStore && { originMapStore: buildStore(value.OriginMapStore) }),
    applications: (value.Applications?.Application ?? []).map(buildApplication),
    ...(policy && {
      signedPolicy: {
        policyKey: policy.PolicyQueryKeyName,
        signatureKey: policy.SignatureQueryKeyName,
        secretKey: policy.SecretKey,
        ...buildCoverage(policy.Enables),
      },
    }),
    ...(webhooks && {
      admissionWebhooks: {
        controlServerUrl: webhooks.ControlServerUrl,
        secretKey: webhooks.SecretKey,
        timeoutMs: webhooks.Timeout,
        ...buildCoverage(webhooks.Enables),
      },
    }),
  };
}

function buildCoverage(
  value: { readonly Providers: readonly string[]; readonly Publishers: readonly string[] } | undefined,
): { providers: readonly string[]; publishers: readonly string[] } {
  const publishers = value?.Publishers ?? [];
  // Both are the same media over the same doors: who guards one would not leave the other open.
  const isHlsAlone = publishers.includes("hlsv3") && !publishers.includes("llhls");
  return { providers: value?.Providers ?? [], publishers: isHlsAlone ? [...publishers, "llhls"] : publishers };
}

function buildOrigins(value: VhostValue["Origins"]): OriginsConfig {
  const properties = value?.Properties;
  return {
    properties: {
      noInputFailoverTimeoutMs: properties?.NoInputFailoverTimeout ?? 3_000,
      unusedStreamDeletionTimeoutMs: properties?.UnusedStreamDeletionTimeout ?? 60_000,
      streamFailbackTimeoutMs: properties?.StreamFailbackTimeout ?? 3_000,
      ...(properties?.RetryCount !== undefined && { retryCount: properties.RetryCount }),
    },
    rules: (value?.Origin ?? []).map(buildRule),
  };
}

function buildRule(value: NonNullable<VhostValue["Origins"]>["Origin"][number]): OriginRule {
  const scheme = value.Pass?.Scheme ?? "";
  return {
    location: value.Location,
    scheme,
    urls: value.Pass?.Urls?.Url ?? [],
    forwardQueryParams: value.Pass?.ForwardQueryParams ?? value.ForwardQueryParams ?? true,
    isStrict: value.StrictLocation,
    isPersistent: value.Persistent,
    hasFailback: value.Failback,
    isRelay: value.Relay ?? /^ovts?$/i.test(scheme),
    ignoresSenderReports: value.IgnoreRtcpSRTimestamp,
  };
}

function buildStore(value: NonNullable<VhostValue["OriginMapStore"]>): OriginMapStoreConfig {
  const host = value.RedisServer?.Host;
  const auth = value.RedisServer?.Auth;
  return {
    ...(host && { redis: { ...host, ...(auth && { auth }) } }),
    ...(value.OriginHostName && { originHostName: inUrl(value.OriginHostName) }),
  };
}

/** An IPv6 address gets the brackets that it needs in front of a port. */
function inUrl(host: string): string {
  return /^[\da-f.]*:[\da-f.]*:[\da-f:.]*$/i.test(host) ? `[${host}]` : host;
}

function buildHearth(value: ServerValue["Hearth"], firstVhost: string): HearthConfig {
  const node = value?.Node;
  return {
    ...(node?.Id && { nodeId: node.Id }),
    ...(node?.PublicUrl && { publicUrl: node.PublicUrl.replace(/\/+$/, "") }),
    region: node?.Region ?? "",
    maxViewers: node?.MaxViewers ?? 0,
    advertisedAddresses: (value?.AdvertisedAddresses?.Address ?? []).filter((address) => address !== ""),
    prewarm: (value?.Prewarm?.Stream ?? []).flatMap((name) => splitPrewarm(name, firstVhost)),
    ...(value?.OperatorPort && { operatorPort: value.OperatorPort.number }),
    operatorAddress: value?.OperatorAddress || "127.0.0.1",
    drainTimeoutMs: value?.DrainTimeout ?? 30_000,
    ...(value?.OvtLink && { ovtLink: buildOvtLink(value.OvtLink) }),
    ovtDataToAll: value?.OvtDataToAll ?? false,
    dvrMaxBytes: (value?.DvrMaxMegabytes ?? 20_480) * 1024 * 1024,
    ffmpeg: value?.Ffmpeg?.trim() || "ffmpeg",
    trustedProxies: (value?.TrustedProxies?.Proxy ?? []).map((proxy) => proxy.trim()),
    graceTimeoutMs: value?.GraceTimeout ?? 30_000,
    locationMatching: value?.LocationMatching ?? "prefix",
  };
}

function buildOvtLink(value: NonNullable<NonNullable<ServerValue["Hearth"]>["OvtLink"]>): OvtLinkConfig {
  const peers = (value.TrustedPeers?.Peer ?? []).map((peer) => peer.trim());
  return {
    trustedPeers: peers.filter((peer) => peer !== ""),
    ...(value.RequireToken !== undefined && { requireToken: value.RequireToken }),
    requireTls: value.RequireTLS,
  };
}

/** `vhost/app/stream`, or `app/stream` of the first virtual host; anything else yields nothing. */
export function splitPrewarm(name: string, firstVhost: string): { vhost: string; app: string; stream: string }[] {
  const parts = name.trim().split("/");
  const [vhost, app, stream] = parts.length === 2 ? [firstVhost, ...parts] : parts;
  return parts.length > 3 || !vhost || !app || !stream ? [] : [{ vhost, app, stream }];
}
