import { applicationSchema } from "./application-schema.ts";
import { iceCandidate, port } from "./ports.ts";
import { choice, flag, integer, milliseconds, movedFlag, optionalFlag, text, words } from "./scalars.ts";
import { group, list, notFollowed, unused, type Report, type ScalarNode } from "./schema.ts";
import { crossDomainsSchema } from "./cross-domains-schema.ts";

const workerCount = unused("Threads; Hearth chooses their number itself.");

const tlsSchema = group("The certificate for these names.", {
  CertPath: text("Certificate in PEM form, relative to this file.", { isRequired: true }),
  KeyPath: text("Private key in PEM form, relative to this file.", { isRequired: true }),
  ChainCertPath: text("Intermediate certificates, relative to this file."),
});

const listeners = (doc: string, portNumber: number) =>
  group(doc, {
    Port: port("Plain HTTP. Absent: nothing listens.", portNumber),
    TLSPort: port("HTTP over TLS, with the virtual hosts' certificates. Absent: nothing listens."),
    WorkerCount: workerCount,
    ThreadPerSocket: unused("One thread a socket."),
  });

const iceCandidatesSchema = group("Addresses that viewers are told to send their media checks to.", {
  IceCandidate: list(
    iceCandidate(
      "Where viewers reach the node: `*` is every address of this machine, `${PublicIP}` what the StunServer says. One port " +
        "carries all viewers: the first one named.",
    ),
  ),
  TcpRelay: unused("TURN relay inside OvenMediaEngine."),
  EnableLinkLocalAddress: notFollowed(
    flag("Offer IPv6 link-local addresses, too.", false),
    "an address without a zone reaches nobody, and candidates have no zone.",
  ),
  TcpForce: unused("Makes viewers use the relay."),
  TcpRelayForce: unused("Makes viewers use the relay."),
  TcpIceWorkerCount: workerCount,
  IceWorkerCount: workerCount,
  TcpRelayWorkerCount: workerCount,
});

const iceServersSchema = group(
  "STUN and TURN servers of somebody else that players are told of, for networks that let nothing through to this node: by WHEP in " +
    "`Link`, by OvenMediaEngine's signalling where the URL asks for `transport=tcp` or `all`. Hearth itself needs none.",
  {
    IceServer: list(
      group("One server.", {
        Urls: group(
          "Its addresses.",
          {
            Url: list(text("`stun:host:port`, `turn:host:port?transport=udp`, `turns:…`; a host alone is `turn:`."), {
              isRequired: true,
            }),
          },
          { isRequired: true },
        ),
        UserName: text("Every player is told it."),
        Credential: text("Every player is told it, too: give it nothing but the right to relay."),
      }),
    ),
  },
);

const bindSchema = group("Where the node listens. Only what is written here opens a port.", {
  Managers: group("The operators' side.", {
    API: listeners("OvenMediaEngine's REST API; its subset is in docs/openapi.json.", 8081),
  }),
  Providers: group("Ingest by others; Hearth pulls and needs no port for it.", {
    OVT: unused("Pulling by OVT needs no port."),
    RTSPC: unused("Pulling by RTSP needs no port."),
    RTSP: unused("RTSP push ingest."),
    RTMP: unused("RTMP ingest."),
    SRT: unused("SRT ingest."),
    MPEGTS: unused("MPEG-TS ingest."),
    WebRTC: unused("WHIP ingest."),
  }),
  Publishers: group("Delivery.", {
    OVT: group("Lets other nodes pull from this one.", {
      Port: port("`/srt` is accepted as in OvenMediaEngine.", 9000),
      WorkerCount: workerCount,
    }),
    LLHLS: listeners("LL-HLS over HTTP.", 80),
    WebRTC: group("WebRTC: signalling (WebSocket, WHEP) and media.", {
      Signalling: listeners("WebSocket signalling and WHEP.", 3333),
      IceCandidates: iceCandidatesSchema,
      TcpRelayBind: unused("TURN relay inside OvenMediaEngine."),
      IceServers: iceServersSchema,
    }),
    HLS: listeners("HLS version 3 over HTTP; where it is absent, the ports of LLHLS.", 80),
    Thumbnail: unused("Thumbnails."),
    SRT: unused("SRT delivery."),
    RTMPPush: unused("Re-publishing."),
    MPEGTSPush: unused("Re-publishing."),
  }),
});

const enable = (doc: string, fallback: boolean) => group(doc, { Enable: flag("", fallback) });

const modulesSchema = group("Switches for whole features.", {
  HTTP2: enable("HTTP/2 over TLS.", true),
  LLHLS: enable("LL-HLS; false removes it everywhere.", true),
  DynamicAppRemoval: unused("Hearth always removes dynamic applications that are no longer used."),
  P2P: unused("Relaying among viewers."),
  Recovery: unused("Deleting congested streams."),
  ETag: unused("ETag headers."),
  ERTMP: unused("Enhanced RTMP ingest."),
  Jemalloc: unused("Memory allocation of OvenMediaEngine."),
  TaskPool: unused("Threads of OvenMediaEngine."),
});

const originSchema = group("A rule: where to pull from for which request. The first that matches is used.", {
  Location: text("Start of `/app/stream`, or all of it with StrictLocation.", { isRequired: true }),
  Pass: group(
    "Where to pull from.",
    {
      Scheme: text(
        "`ovt`, `ovts` (OVT within TLS, between Hearth nodes), `rtsp`, `rtsps` (RTSP within TLS) or `file`, in any case.",
        { isRequired: true },
      ),
      Urls: group(
        "Tried in order.",
        {
          Url: list(
            text(
              "`host:port/path` without scheme; what follows Location in the request is appended. For RTSP, `?transport=tcp` " +
                "or `udp` says how media comes (TCP unless given, UDP where the server refuses that); viewers cannot.",
              { isRequired: true },
            ),
            {
              isRequired: true,
            },
          ),
        },
        { isRequired: true },
      ),
      ForwardQueryParams: optionalFlag(
        "Append the viewer's query; true unless given. Hearth's own keys are never sent.",
      ),
    },
    { isRequired: true },
  ),
  ForwardQueryParams: movedFlag("Where older documentation shows it.", "Pass"),
  Persistent: flag("Never ended as unused, never given up.", false),
  Failback: flag("Return to the first Url when it works again.", false),
  StrictLocation: flag("Location must equal `/app/stream`.", false),
  Relay: optionalFlag("OvenMediaEngine's transcoder is bypassed; Hearth never transcodes."),
  IgnoreRtcpSRTimestamp: flag("RTSP: each track starts at zero instead of being aligned by sender reports.", false),
});

const originsSchema = group("The OriginMap: rules for pulling streams.", {
  Properties: group("Apply to every pull of this virtual host.", {
    NoInputFailoverTimeout: milliseconds("Silence after which the next Url is tried.", { fallback: 3_000, min: 1 }),
    UnusedStreamDeletionTimeout: milliseconds("A pulled stream ends after this time without a viewer.", {
      fallback: 60_000,
    }),
    StreamFailbackTimeout: milliseconds(
      "With Failback: time between probes of the first Url, and how long it must then play before it is returned to.",
      { fallback: 3_000, min: 1 },
    ),
    RetryCount: retryCount(),
  }),
  Origin: list(originSchema),
});

/** Whether it was given matters: without it Hearth goes on for its grace time. */
function retryCount(): ScalarNode<number | undefined> {
  const node = integer(
    "Rounds over the Urls, and one try more; after a loss Hearth retries for its grace time unless given.",
    {
      fallback: 1,
      max: 1_000_000,
    },
  );
  return { ...node, fallback: undefined };
}

const redisHost: ScalarNode<{ readonly host: string; readonly port: number } | undefined> = {
  kind: "scalar",
  type: "host:port",
  doc: "The Redis server.",
  isRequired: true,
  fallback: undefined,
  read: readHostAndPort,
};

function readHostAndPort(value: string, report: Report): { host: string; port: number } | undefined {
  const [host = "", digits = "", ...rest] = value.split(":");
  const port = /^\d{1,5}$/.test(digits) ? Number(digits) : 0;
  if (rest.length === 0 && host !== "" && port > 0 && port <= 65_535) return { host, port };
  const message = `Invalid host format ${value}: it must be host:port.`;
  report(
    "error",
    "bad-value",
    message,
    "Write host:port. For TLS, IPv6 or a user name set the environment variable REDIS_URL.",
  );
  return undefined;
}

const storeSchema = group("The OriginMapStore: origins announce their streams in Redis, edges look them up.", {
  RedisServer: group(
    "",
    { Host: redisHost, Auth: text("Password. Better given as ${env:NAME}.") },
    { isRequired: true },
  ),
  OriginHostName: text("Host under which other nodes reach this one's OVT port. Absent: this node announces nothing."),
});

const enablesSchema = group("What is covered.", {
  Providers: words("Ingest protocols; Hearth has none."),
  Publishers: words(
    "Delivery protocols: `webrtc`, `llhls`; HLS version 3 (`hlsv3`) is guarded with `llhls`, each by the other.",
  ),
});

const virtualHostSchema = group("What is served under a set of host names.", {
  Name: text("Key in API paths and logs.", { isRequired: true, assumed: "default" }),
  Distribution: unused("A label."),
  Host: group("", {
    Names: group(
      "",
      {
        Name: list(text("Host name; `*` stands for any text, `?` for at most one character.", { isRequired: true }), {
          isRequired: true,
        }),
      },
      { isRequired: true },
    ),
    TLS: tlsSchema,
  }),
  SignedPolicy: group("Viewers need a URL signed with HMAC-SHA1.", {
    PolicyQueryKeyName: text("Query key of the policy.", { isRequired: true }),
    SignatureQueryKeyName: text("Query key of the signature.", { isRequired: true }),
    SecretKey: text("Shared with who signs. Better given as ${env:NAME}.", { isRequired: true }),
    Enables: enablesSchema,
  }),
  AdmissionWebhooks: group("A control server decides who may watch.", {
    ControlServerUrl: text("Asked by POST before a viewer is admitted.", { isRequired: true }),
    SecretKey: text("Signs the question. Better given as ${env:NAME}.", { isRequired: true }),
    Timeout: milliseconds("No answer within this time: refused.", { fallback: 3_000, min: 1, max: 600_000 }),
    Enables: enablesSchema,
  }),
  Origins: originsSchema,
  OriginMapStore: storeSchema,
  CrossDomains: unused("Ignored by OvenMediaEngine since 0.19, too: use Defaults/CrossDomains."),
  Applications: group("", { Application: list(applicationSchema) }),
});

const hearthSchema = group(
  'Hearth\'s own settings. With ignore="true" OvenMediaEngine skips the element; Hearth reads it.',
  {
    Node: group("This node, as the rest of the cluster sees it.", {
      Id: text("Unique in the cluster; made up at the first start unless given."),
      PublicUrl: text("Base URL under which viewers reach this node, for example `https://edge-1.example.com`."),
      Region: text("Where the node stands; the router prefers near ones.", { fallback: "" }),
      MaxViewers: integer("The router sends no more viewers than this; 0 means no limit.", {
        fallback: 0,
        max: 10_000_000,
      }),
    }),
    AdvertisedAddresses: group("", {
      Address: list(text("Address offered as ICE candidate, for a node behind NAT.", { isRequired: true })),
    }),
    Prewarm: group("", {
      Stream: list(text("`app/stream` or `vhost/app/stream`, pulled from the start on.", { isRequired: true })),
    }),
    OvtLink: group(
      "Who may pull from this node by OVT. Without this element everybody may, whether or not HEARTH_SECRET is set.",
      {
        TrustedPeers: group("", {
          Peer: list(
            text(
              "IP address or network (`10.0.0.0/8`) of OvenMediaEngine edges, which pull in plain text without a token.",
              {
                isRequired: true,
              },
            ),
          ),
        }),
        RequireToken: optionalFlag(
          "Others need a token signed with HEARTH_SECRET, as Hearth edges with the same secret send it. Unless given: true " +
            "when HEARTH_SECRET is set.",
        ),
        RequireTLS: flag(
          "Others must also come by TLS, as Hearth edges do whose rule has the Scheme `ovts`. Streams then stand as `ovts://…` " +
            "in the OriginMapStore, which OvenMediaEngine edges cannot pull.",
          false,
        ),
      },
    ),
    TrustedProxies: group(
      "Proxies in front of this node. Without them nobody's word about a viewer's address counts.",
      {
        Proxy: list(
          text("IP address or network (`10.0.0.0/8`) whose X-Real-IP, X-Forwarded-For and X-Forwarded-Proto count.", {
            isRequired: true,
          }),
        ),
      },
    ),
    OperatorPort: port("Metrics, reload, drain and the REST API."),
    OperatorAddress: text(
      "Where OperatorPort is opened. Any other address than the loopback one needs the token HEARTH_OPERATOR_TOKEN.",
      { fallback: "127.0.0.1" },
    ),
    DrainTimeout: milliseconds(
      "How long a node that is told to go (SIGTERM, `POST /-/drain`) waits until its viewers play from elsewhere.",
      { fallback: 30_000 },
    ),
    OvtDataToAll: flag(
      "Samples of data and subtitle tracks (ID3, SCTE-35, cues) go to OvenMediaEngine edges too; Hearth edges always get them.",
      false,
    ),
    DvrMaxMegabytes: integer(
      "Disk for rewinding (`Publishers/LLHLS/DVR`), for all applications whose LLHLS settings are the same; then the oldest goes.",
      { fallback: 20_480, min: 1, max: 100_000_000 },
    ),
    Ffmpeg: text(
      "The ffmpeg that turns AAC into Opus for WebRTC viewers: a path, or a name to be found in PATH; `off` leaves their sound out.",
      { fallback: "ffmpeg" },
    ),
    GraceTimeout: milliseconds("How long viewers are kept while every source of their stream fails.", {
      fallback: 30_000,
    }),
    LocationMatching: choice(
      "`prefix` is OvenMediaEngine's way: `/app` also matches `/apple/x`. `segments` compares whole path segments.",
      ["prefix", "segments"],
      { fallback: "prefix" },
      (value) => `Unknown way of matching: ${value}`,
    ),
  },
  { isReadWhenIgnored: true },
);

/** Everything Hearth knows about Server.xml. The reference page docs/server-xml.md is printed from it. */
export const serverSchema = group("The whole configuration.", {
  Name: text("For people.", { fallback: "OvenMediaEngine" }),
  Type: choice(
    "Has no effect, as in OvenMediaEngine: what a node does follows from the rest of the file.",
    ["origin", "edge"],
    { isRequired: true, assumed: "origin", isAssumedForOldFiles: true },
    (value) => `Unknown type: ${value}`,
  ),
  IP: list(text("Address to bind to; `*` is every IPv4 address, `::` every IPv6 one.", { isRequired: true }), {
    isRequired: true,
    isAssumedForOldFiles: true,
  }),
  StunServer: text("`host:port`; asked at the start for the address that `${PublicIP}` stands for."),
  PrivacyProtection: flag("Mask viewers' addresses in logs.", false),
  Bind: { ...bindSchema, isRequired: true },
  Modules: modulesSchema,
  Managers: group("", {
    Host: group("", { Names: unused("Names of the API's certificate."), TLS: tlsSchema }),
    API: group("", {
      AccessToken: text("Required from who calls the API. Better given as ${env:NAME}."),
      CrossDomains: crossDomainsSchema,
      Storage: unused("Saved API state."),
    }),
  }),
  Alert: unused("Notifications; use the metrics."),
  Analytics: unused("Event log; use the metrics."),
  Defaults: group("", { CrossDomains: crossDomainsSchema }),
  VirtualHosts: group("", { VirtualHost: list(virtualHostSchema) }),
  Hearth: hearthSchema,
});
