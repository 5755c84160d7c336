import type { MatchMode, OriginRule } from "../cluster/origin-map/origin-rule.ts";
import type { IceCandidateSetting } from "./ports.ts";

export type { IceCandidateSetting } from "./ports.ts";
export type { MatchMode, OriginRule } from "../cluster/origin-map/origin-rule.ts";

/**
 * A whole Server.xml as plain data: a JSON value, so that it can be handed to the Worker and compared on reload. Absent
 * is absent, never null. Holds secrets (store password, policy key): never log it or answer with it.
 */
export interface ServerConfig {
  readonly name: string;
  /** Has no effect, as in OvenMediaEngine. */
  readonly type: "origin" | "edge";
  /** Addresses to bind to: `*` every IPv4 address, `::` every IPv6 one. */
  readonly ips: readonly string[];
  /** `host:port` of the server that tells the address `${PublicIP}` stands for. */
  readonly stunServer?: string;
  /** Mask viewers' addresses in logs. */
  readonly hasPrivacyProtection: boolean;
  readonly bind: BindConfig;
  readonly managers: ManagersConfig;
  readonly vhosts: readonly VhostConfig[];
  /** For every answer, unless the application's publisher has its own. Absent: every page may read them. */
  readonly crossDomains?: CrossDomainsConfig;
  readonly modules: ModulesConfig;
  readonly hearth: HearthConfig;
}

/** Where to listen: a port that is absent is not opened; 0 takes any free one. */
export interface BindConfig {
  readonly ovtPort?: number;
  /** OVT over SRT (`<Port>9000/srt</Port>`). */
  readonly ovtSrtPort?: number;
  readonly llhls: HttpPorts;
  /** Absent: the ports of {@link llhls}. */
  readonly hls?: HttpPorts;
  readonly webrtc: {
    readonly signalling: HttpPorts;
    readonly iceCandidates: readonly IceCandidateSetting[];
    readonly iceServers: readonly IceServerConfig[];
  };
  readonly api: HttpPorts;
}

/** A STUN or TURN server that players are told of. */
export interface IceServerConfig {
  /** With their scheme (RFC 7064, 7065). */
  readonly urls: readonly string[];
  readonly username?: string;
  readonly credential?: string;
}

export interface HttpPorts {
  readonly port?: number;
  readonly tlsPort?: number;
}

export interface ManagersConfig {
  readonly accessToken?: string;
  readonly tls?: TlsConfig;
  /** Of the REST API. */
  readonly crossDomains?: CrossDomainsConfig;
}

/** Paths as they can be opened: already resolved against the file that names them. */
export interface TlsConfig {
  readonly certPath: string;
  readonly keyPath: string;
  readonly chainCertPath?: string;
}

export interface CrossDomainsConfig {
  readonly urls: readonly string[];
  readonly headers: readonly { readonly key: string; readonly value: string }[];
}

export interface ModulesConfig {
  readonly hasHttp2: boolean;
  readonly hasLlhls: boolean;
}

export interface VhostConfig {
  readonly name: string;
  /** Patterns of host names; empty: reachable through the API only. */
  readonly hostNames: readonly string[];
  readonly tls?: TlsConfig;
  readonly origins: OriginsConfig;
  readonly originMapStore?: OriginMapStoreConfig;
  readonly applications: readonly ApplicationConfig[];
  readonly signedPolicy?: SignedPolicyConfig;
  readonly admissionWebhooks?: AdmissionWebhooksConfig;
}

export interface OriginsConfig {
  readonly properties: OriginProperties;
  readonly rules: readonly OriginRule[];
}

/** Apply to every pull of the virtual host, from rules or not. */
export interface OriginProperties {
  readonly noInputFailoverTimeoutMs: number;
  readonly unusedStreamDeletionTimeoutMs: number;
  readonly streamFailbackTimeoutMs: number;
  /** Rounds over the URL list. Absent: Hearth retries for its grace time. */
  readonly retryCount?: number;
}

export interface OriginMapStoreConfig {
  /** Absent where the file names no server: the environment may. */
  readonly redis?: { readonly host: string; readonly port: number; readonly auth?: string };
  /** Absent: this node looks streams up and announces none. */
  readonly originHostName?: string;
}

export type ProviderName = "ovt" | "rtsp";

export interface ApplicationConfig {
  readonly name: string;
  /** The application `*`: others are made from it. */
  readonly isTemplate: boolean;
  /** Schemes that may be pulled into it. `file` always may. */
  readonly providers: readonly ProviderName[];
  readonly publishers: PublishersConfig;
  /** Tracks that streams which begin here are given. */
  readonly subtitles?: SubtitlesConfig;
}

export interface SubtitlesConfig {
  /** In the order of the file; each label once. */
  readonly renditions: readonly {
    readonly label: string;
    readonly language: string;
    readonly isDefault: boolean;
    readonly isAutoSelect: boolean;
    readonly isForced: boolean;
  }[];
  /** File names of playlists that do not list them. */
  readonly exceptPlaylists: readonly string[];
}

export interface PublishersConfig {
  readonly ovt: boolean;
  readonly webrtc?: WebrtcPublisherConfig;
  readonly llhls?: LlhlsPublisherConfig;
  readonly hls?: HlsPublisherConfig;
}

export interface WebrtcPublisherConfig {
  readonly timeoutMs: number;
  /** Retransmission; absent where the file does not say. */
  readonly hasRtx?: boolean;
  readonly playoutDelay?: { readonly minMs: number; readonly maxMs: number };
  readonly bandwidthEstimation?: "REMB";
  readonly hasDefaultPlaylist: boolean;
  /** Threads beside the main one that may send one stream, and all streams of the application. */
  readonly maxStreamThreads: number;
  readonly maxAppThreads: number;
  readonly crossDomains?: CrossDomainsConfig;
}

export interface LlhlsPublisherConfig {
  readonly chunkDurationMs: number;
  readonly segmentDurationMs: number;
  readonly segmentCount: number;
  /** 0: as small as the parts allow. */
  readonly partHoldBackMs: number;
  readonly hasPreloadHint: boolean;
  readonly hasDefaultPlaylist: boolean;
  /** `_HLS_legacy` and `_HLS_rewind` where a request does not say. */
  readonly defaults: { readonly legacy: boolean; readonly rewind: boolean };
  /** Absent: nothing older than the live window is kept. */
  readonly dvr?: {
    /** Absent: the system's folder for temporary files. */
    readonly folder?: string;
    readonly windowMs: number;
  };
  /** Seconds; 0 means `no-cache, no-store`, -1 no header, absent what Hearth says itself. */
  readonly maxAge: {
    readonly masterPlaylist?: number;
    readonly chunklist?: number;
    readonly chunklistWithDirectives?: number;
    readonly segment?: number;
    readonly part?: number;
  };
  readonly crossDomains?: CrossDomainsConfig;
}

/** HLS version 3: MPEG-TS segments. */
export interface HlsPublisherConfig extends Pick<
  LlhlsPublisherConfig,
  "segmentDurationMs" | "segmentCount" | "hasDefaultPlaylist" | "crossDomains"
> {
  readonly maxAge: Pick<LlhlsPublisherConfig["maxAge"], "masterPlaylist" | "chunklist" | "segment">;
  /** No LL-HLS publisher has `playlist.m3u8`: it is this one's without `ts:`, too. */
  readonly isPlainTaken: boolean;
}

/** What a policy or webhook covers: names in lower case (`webrtc`, `llhls`). */
export interface CoverageConfig {
  readonly providers: readonly string[];
  readonly publishers: readonly string[];
}

export interface SignedPolicyConfig extends CoverageConfig {
  readonly policyKey: string;
  readonly signatureKey: string;
  readonly secretKey: string;
}

export interface AdmissionWebhooksConfig extends CoverageConfig {
  readonly controlServerUrl: string;
  readonly secretKey: string;
  readonly timeoutMs: number;
}

/** What only Hearth knows: the element `<Hearth>`. */
export interface HearthConfig {
  readonly nodeId?: string;
  /** Without trailing slash. */
  readonly publicUrl?: string;
  readonly region: string;
  /** 0: no limit. */
  readonly maxViewers: number;
  readonly advertisedAddresses: readonly string[];
  readonly prewarm: readonly { readonly vhost: string; readonly app: string; readonly stream: string }[];
  readonly operatorPort?: number;
  /** Where that port is opened; the loopback address unless given. */
  readonly operatorAddress: string;
  readonly drainTimeoutMs: number;
  /** Absent where the file has no such element: then the node's secret does not close the OVT port. */
  readonly ovtLink?: OvtLinkConfig;
  /** OvenMediaEngine edges get data and subtitles too. */
  readonly ovtDataToAll: boolean;
  /** Path or name of the program, or `off`. */
  readonly ffmpeg: string;
  /** For rewinding, of each LLHLS setting. */
  readonly dvrMaxBytes: number;
  /** IP addresses and networks of proxies whose `X-Real-IP` and `X-Forwarded-…` count. */
  readonly trustedProxies: readonly string[];
  readonly graceTimeoutMs: number;
  readonly locationMatching: MatchMode;
}

/** Who may pull from this node by OVT. */
export interface OvtLinkConfig {
  /** IP addresses and networks (`10.0.0.0/8`) that need no token. */
  readonly trustedPeers: readonly string[];
  /** Absent where the file does not say: the node's secret decides. */
  readonly requireToken?: boolean;
  /** Peers that are not trusted must come by TLS. */
  readonly requireTls: boolean;
}
