import assert from "node:assert/strict";
import { test } from "node:test";
import { parseServerXml } from "./parse-server-xml.ts";

const server = (inside: string, bind = "<Bind/>"): string =>
  `<?xml version="1.0"?>\n<Server version="8">\n<Type>edge</Type>\n<IP>*</IP>\n${bind}\n${inside}\n</Server>\n`;
const parse = (xml: string, env: Record<string, string> = {}) => parseServerXml(xml, { path: "conf/Server.xml", env });
const load = (xml: string, env: Record<string, string> = {}) => {
  const { config, problems } = parse(xml, env);
  assert.deepEqual(
    problems.filter(({ severity }) => severity === "error"),
    [],
  );
  return config!;
};
const vhost = (inside: string): string =>
  server(
    `<VirtualHosts><VirtualHost><Name>default</Name>\n<Host><Names><Name>*</Name></Names></Host>${inside}</VirtualHost></VirtualHosts>`,
  );

test("reads where to listen, any free port included", () => {
  const { bind } = load(
    server(
      "",
      `<Bind><Managers><API><Port>8081</Port></API></Managers><Publishers><OVT><Port>0</Port></OVT>
       <LLHLS><Port>8080</Port><TLSPort>8443/tcp</TLSPort></LLHLS>
       <WebRTC><Signalling><Port>3333</Port></Signalling><IceCandidates>
       <IceCandidate>*:10000-10002,10010/udp</IceCandidate><IceCandidate>[2001:db8::1]:0/tcp</IceCandidate>
       <IceCandidate>\${PublicIP}:9/udp</IceCandidate></IceCandidates></WebRTC></Publishers></Bind>`,
    ),
  );
  assert.deepEqual(bind, {
    ovtPort: 0,
    llhls: { port: 8080, tlsPort: 8443 },
    webrtc: {
      signalling: { port: 3333 },
      iceCandidates: [
        {
          host: "*",
          ports: [
            { first: 10_000, last: 10_002 },
            { first: 10_010, last: 10_010 },
          ],
          protocol: "udp",
        },
        { host: "2001:db8::1", ports: [{ first: 0, last: 0 }], protocol: "tcp" },
        { host: "${PublicIP}", ports: [{ first: 9, last: 9 }], protocol: "udp" },
      ],
      iceServers: [],
    },
    api: { port: 8081 },
  });
});

test("reads Hearth's own settings although OvenMediaEngine is told to skip them", () => {
  const { hearth } = load(
    server(`<Hearth ignore="true"><Node><Id>\${env:NODE_ID}</Id><PublicUrl>http://127.0.0.1:1/</PublicUrl>
      <Region>eu</Region><MaxViewers>10</MaxViewers></Node><AdvertisedAddresses><Address>203.0.113.7</Address></AdvertisedAddresses>
      <Prewarm><Stream>app/stream</Stream><Stream>v/a/s</Stream></Prewarm><OperatorPort>0</OperatorPort>
      <GraceTimeout>5000</GraceTimeout><LocationMatching>segments</LocationMatching><OvtDataToAll>true</OvtDataToAll>
      <OvtLink><TrustedPeers><Peer> 10.0.0.0/8 </Peer></TrustedPeers><RequireTLS>true</RequireTLS></OvtLink></Hearth>`),
    { NODE_ID: "edge-1" },
  );
  assert.partialDeepStrictEqual(hearth, {
    nodeId: "edge-1",
    publicUrl: "http://127.0.0.1:1",
    region: "eu",
    maxViewers: 10,
    advertisedAddresses: ["203.0.113.7"],
    prewarm: [
      { vhost: "default", app: "app", stream: "stream" },
      { vhost: "v", app: "a", stream: "s" },
    ],
    operatorPort: 0,
    operatorAddress: "127.0.0.1",
    drainTimeoutMs: 30_000,
    ovtLink: { trustedPeers: ["10.0.0.0/8"], requireTls: true },
    ovtDataToAll: true,
    trustedProxies: [],
    graceTimeoutMs: 5000,
    locationMatching: "segments",
  });
});

test("tells line, path and remedy of what it does not know", () => {
  const { config, problems } = parse(vhost("\n\n<Origin/>"));
  assert.equal(config, undefined);
  assert.deepEqual(problems, [
    {
      severity: "error",
      code: "unknown-element",
      path: "Server/VirtualHosts/VirtualHost[1]/Origin",
      file: "conf/Server.xml",
      line: 9,
      message: "Unknown element Server/VirtualHosts/VirtualHost[1]/Origin.",
      remedy: "Did you mean <Origins>?",
    },
  ]);
});

test("reports numbers and flags that are not what they seem, and loads", () => {
  const { config, problems } = parse(
    vhost(`<Origins><Properties><NoInputFailoverTimeout></NoInputFailoverTimeout>
      <UnusedStreamDeletionTimeout>60s</UnusedStreamDeletionTimeout></Properties>
      <Origin><Location>/</Location><Pass><Scheme>ovt</Scheme><Urls><Url> o:1/ </Url></Urls></Pass>
      <Persistent>yes</Persistent><Failback>1</Failback></Origin></Origins>`),
  );
  const { properties, rules } = config!.vhosts[0]!.origins;
  assert.equal(properties.noInputFailoverTimeoutMs, 3000);
  assert.equal(properties.unusedStreamDeletionTimeoutMs, 60);
  assert.equal(rules[0]!.isPersistent, false);
  assert.equal(rules[0]!.hasFailback, true);
  assert.deepEqual(rules[0]!.urls, [" o:1/ "]);
  assert.deepEqual(
    problems
      .filter(({ code }) => !["short-time", "no-application", "not-followed"].includes(code))
      .map(({ severity, code }) => `${severity} ${code}`),
    ["warning bad-number", "warning number-with-rest", "warning blanks", "warning bad-flag"],
  );
});

test("reads variables as OvenMediaEngine does: a default may hold colons, set but empty wins", () => {
  const { config } = parse(server(`<Name>\${env:SET:x}\${env:EMPTY:x}\${env:UNSET:redis:6379}</Name>`), {
    SET: "a",
    EMPTY: "",
  });
  assert.equal(config!.name, "aredis:6379");
});

test("lists what it does not use once, and takes everything below it", () => {
  const { config, problems } = parse(
    vhost(
      `<Applications>${["a", "b", "c"].map((name) => `<Application><Name>${name}</Name><Type>live</Type><OutputProfiles><X><Y/></X></OutputProfiles></Application>`).join("")}</Applications>`,
    ),
  );
  assert.ok(config);
  assert.deepEqual(
    problems.map(({ code, path }) => `${code} ${path}`),
    ["not-used Server/VirtualHosts/VirtualHost[1]/Applications/Application[1]/OutputProfiles"],
  );
});

test("says where something is asked for that is not offered, and nothing where it is off", () => {
  const app = (name: string, isOn: boolean): string =>
    `<Application><Name>${name}</Name><Type>live</Type><Publishers><WebRTC><JitterBuffer>${isOn}</JitterBuffer>` +
    `<Ulpfec>${isOn}</Ulpfec></WebRTC></Publishers></Application>`;
  const { problems } = parse(vhost(`<Applications>${app("a", true)}${app("b", false)}</Applications>`));
  const found = problems.filter(({ code }) => code === "not-followed");
  const place = "Server/VirtualHosts/VirtualHost[1]/Applications/Application[1]/Publishers/WebRTC";
  assert.deepEqual(
    found.map(({ path }) => path),
    [`${place}/Ulpfec`, `${place}/JitterBuffer`],
  );
  assert.match(found[0]!.message, /not offered: lost packets are sent again/);
});

test("ICE servers are read with their scheme; what no header can carry is refused", () => {
  const bind = (servers: string): string =>
    server(
      "<VirtualHosts><VirtualHost><Name>default</Name></VirtualHost></VirtualHosts>",
      `<Bind><Publishers><WebRTC><IceServers>${servers}</IceServers></WebRTC></Publishers></Bind>`,
    );
  const { config, problems } = parse(
    bind(
      "<IceServer><Urls><Url>turn.example.com:3478</Url><Url>turns:[2001:db8::1]:443?transport=tcp</Url></Urls>" +
        "<UserName>u</UserName><Credential>c</Credential></IceServer>" +
        "<IceServer><Urls><Url>stun:stun.example.com</Url></Urls></IceServer>",
    ),
  );
  assert.deepEqual(
    [config!.bind.webrtc.iceServers, problems.filter(({ path }) => path.includes("IceServers"))],
    [
      [
        {
          urls: ["turn:turn.example.com:3478", "turns:[2001:db8::1]:443?transport=tcp"],
          username: "u",
          credential: "c",
        },
        { urls: ["stun:stun.example.com"] },
      ],
      [],
    ],
  );
  const wrong = parse(
    bind(
      "<IceServer><Urls><Url>turn:a&gt;; rel=x</Url><Url>http://x/</Url></Urls><UserName>ü</UserName></IceServer>" +
        "<IceServer><UserName>u</UserName></IceServer>",
    ),
  ).problems.filter(({ path }) => path.includes("IceServers"));
  assert.deepEqual(
    wrong.map(({ severity, path }) => `${severity} ${path.replace(/^.*IceServers./, "")}`),
    [
      "error IceServer[2]/Urls",
      "error IceServer[1]/Urls/Url[1]",
      "error IceServer[1]/Urls/Url[2]",
      "error IceServer[1]",
      "warning IceServer[1]",
    ],
  );
});

test("a playout delay is read in milliseconds; a Max below Min is raised to it", () => {
  const delayOf = (inner: string) =>
    parse(
      vhost(
        `<Applications><Application><Name>a</Name><Type>live</Type><Publishers><WebRTC><PlayoutDelay>${inner}</PlayoutDelay></WebRTC></Publishers></Application></Applications>`,
      ),
    ).config?.vhosts[0]?.applications[0]?.publishers.webrtc?.playoutDelay;
  assert.deepEqual(delayOf("<Min>100</Min><Max>2000</Max>"), { minMs: 100, maxMs: 2_000 });
  assert.deepEqual(delayOf("<Min>100</Min>"), { minMs: 100, maxMs: 100 });
  assert.deepEqual(delayOf(""), { minMs: 0, maxMs: 0 });
});

test("includes files in place of elements, each knowing its own lines and directory", () => {
  const files = [
    {
      path: "conf/vhosts/b.xml",
      text: "<VirtualHost><Name>b</Name><Host><Names><Name>b</Name></Names><TLS><CertPath>b.crt</CertPath><KeyPath>/b.key</KeyPath></TLS></Host></VirtualHost>",
    },
    {
      path: "conf/vhosts/a.xml",
      text: "<VirtualHost><Name>a</Name><Host><Names><Name>a</Name></Names></Host>\n<Foo/></VirtualHost>",
    },
  ];
  const asked: string[] = [];
  const { problems } = parseServerXml(server(`<VirtualHosts><VirtualHost include="vhosts/*.xml"/></VirtualHosts>`), {
    path: "conf/Server.xml",
    env: {},
    readInclude: (pattern, from) => {
      asked.push(`${pattern} from ${from}`);
      return files;
    },
  });
  assert.deepEqual(asked, ["vhosts/*.xml from conf/Server.xml"]);
  assert.deepEqual(
    problems.filter(({ severity }) => severity === "error").map(({ file, line, path }) => `${file}:${line} ${path}`),
    ["conf/vhosts/a.xml:2 Server/VirtualHosts/VirtualHost[1]/Foo"],
  );
  const { config } = parseServerXml(server(`<VirtualHosts><VirtualHost include="vhosts/*.xml"/></VirtualHosts>`), {
    path: "conf/Server.xml",
    env: {},
    readInclude: () => files.slice(0, 1),
  });
  assert.deepEqual(config!.vhosts[0]!.tls, { certPath: "conf/vhosts/b.crt", keyPath: "/b.key" });
});

test("refuses what could expand or pollute, and leaves prototypes alone", () => {
  const inputs = [
    `<!DOCTYPE s [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>${server("<Name>&b;</Name>")}`,
    server("<Name>&nope;</Name>"),
    server("<__proto__><polluted>1</polluted></__proto__>"),
    server("<constructor/>"),
    server(`<Name __proto__="x">n</Name><toString/>`),
    server("<a>".repeat(70) + "</a>".repeat(70)),
    server(" ".repeat(1024 * 1024)),
    "",
    "<Server",
    "<Server version='8'></Serve>",
    server("<!-- "),
    server("<![CDATA[ "),
  ];
  for (const input of inputs) {
    const { config, problems } = parse(input);
    assert.equal(config, undefined, input.slice(0, 80));
    assert.ok(problems.some(({ severity }) => severity === "error"));
  }
  assert.equal("polluted" in {}, false);
});

test("every beginning of a file is either refused or read, never thrown at", () => {
  const whole = vhost("<Origins><Origin><Location>/&amp;<![CDATA[x]]></Location></Origin></Origins>");
  for (let length = 0; length < whole.length; length++) parse(whole.slice(0, length));
});
