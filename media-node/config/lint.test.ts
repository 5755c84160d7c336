import assert from "node:assert/strict";
import { test } from "node:test";
import { parseServerXml } from "./parse-server-xml.ts";

interface Parts {
  readonly bind?: string;
  readonly ip?: string;
  readonly top?: string;
  readonly vhosts?: string;
  readonly vhost?: string;
  readonly origins?: string;
  readonly applications?: string;
}

const template = `<Application><Name>*</Name><Type>live</Type><Providers><OVT/><RTSPPull/></Providers></Application>`;

const server = ({ bind = "", ip = "127.0.0.1", top = "", vhost = "", origins, ...rest }: Parts): string => {
  const applications = `<Applications>${rest.applications ?? template}</Applications>`;
  const rules = origins === undefined ? "" : `<Origins>${origins}</Origins>`;
  const host = `<Host><Names><Name>*</Name></Names></Host>`;
  const vhosts = rest.vhosts ?? `<VirtualHost><Name>default</Name>${host}${vhost}${rules}${applications}</VirtualHost>`;
  return `<Server version="8"><Type>edge</Type><IP>${ip}</IP><Bind>${bind}</Bind>${top}<VirtualHosts>${vhosts}</VirtualHosts></Server>`;
};

const rule = (location: string, urls: string | readonly string[], scheme = "ovt", more = ""): string =>
  `<Origin><Location>${location}</Location><Pass><Scheme>${scheme}</Scheme><Urls>${[urls]
    .flat()
    .map((url) => `<Url>${url}</Url>`)
    .join("")}</Urls></Pass>${more}</Origin>`;

/** `code Place`, the place by its last steps. */
const findings = (parts: Parts): string[] =>
  parseServerXml(server(parts), { path: "f", env: {} })
    .problems.filter(({ code }) => code !== "not-followed")
    .map(({ code, path }) => `${code} ${path.split("/").slice(-1)[0]}`);

const strict = "<StrictLocation>true</StrictLocation>";
const ovt = `<Publishers><OVT><Port>9000</Port></OVT></Publishers>`;
const publishesOvt = `<Application><Name>*</Name><Type>live</Type><Publishers><OVT/></Publishers></Application>`;
const host = (...names: string[]): string =>
  `<Host><Names>${names.map((name) => `<Name>${name}</Name>`).join("")}</Names></Host>`;

const table: readonly [what: string, parts: Parts, expected: readonly string[]][] = [
  ["nothing, where all is well", { origins: rule("/app/", "o:9000/app/") + rule("/app2/s", "[::1]:9000/x/y") }, []],
  ["a location without slash", { origins: rule("app/", "o:1/app/") }, ["rule-never-matches Location"]],
  ["a location with a host", { origins: rule("edge.com/app/s", "o:1/app/s") }, ["rule-never-matches Location"]],
  ["a location with a file", { origins: rule("/app/s/f.m3u8", "o:1/app/s") }, ["rule-never-matches Location"]],
  ["a location with a query", { origins: rule("/app/s?x", "o:1/app/s") }, ["rule-never-matches Location"]],
  ["half a strict location", { origins: rule("/app", "o:1/app", "ovt", strict) }, ["rule-never-matches Location"]],
  ["an empty location", { origins: rule("", "o:1") }, ["empty-location Location"]],
  [
    "a rule behind a wider one",
    { origins: rule("/", "o:1/") + rule("/app/", "o:1/app/") },
    ["rule-never-reached Location"],
  ],
  [
    "a rule given twice, but not a strict one before a wide one",
    { origins: rule("/a/s", "o:1/a/s", "ovt", strict) + rule("/a/s", "o:1/a/s") + rule("/a/s", "o:2/a/s") },
    ["rule-never-reached Location"],
  ],
  [
    "nothing, where segments are compared and the earlier rule is only a beginning of the name",
    {
      origins: rule("/app", "o:1/app") + rule("/apple/", "o:1/apple/"),
      top: "<Hearth><LocationMatching>segments</LocationMatching></Hearth>",
    },
    [],
  ],
  [
    "slashes that do not fit",
    { origins: rule("/app/", "o:1/other") + rule("/b", "o:1/b/") },
    ["slash-mismatch Url[1]", "slash-mismatch Url[1]"],
  ],
  ["a root location and a bare host", { origins: rule("/", "o:9000") }, ["slash-mismatch Url[1]"]],
  ["a scheme inside a Url", { origins: rule("/app/", "ovt://o:1/app/") }, ["scheme-in-url Url[1]"]],
  [
    "a Url without port",
    { origins: rule("/app/", ["o/app/", "p:1/app/"]) + rule("/b/", "cam/b/", "rtsp") },
    ["no-port Url[1]"],
  ],
  [
    "a Url with a port that is none",
    { origins: rule("/a/", ["o:70000/a/", "o:0/a/", "o:x/a/", ":1/a/"]) },
    ["bad-url Url[1]", "bad-url Url[2]", "bad-url Url[3]", "bad-url Url[4]"],
  ],
  ["a scheme that nothing pulls", { origins: rule("/a/", "o:1/a/", "rtmp") }, ["unknown-scheme Scheme"]],
  [
    "RTSP within TLS without provider",
    {
      origins: rule("/a/", "o/a/", "RTSPS"),
      applications: "<Application><Name>*</Name><Type>live</Type><Providers><OVT/></Providers></Application>",
    },
    ["no-provider Scheme"],
  ],
  ["a file that is not absolute", { origins: rule("/a/s", "clip.mp4", "file", strict) }, ["bad-url Url[1]"]],
  [
    "seconds in place of milliseconds",
    { origins: "<Properties><UnusedStreamDeletionTimeout>60</UnusedStreamDeletionTimeout></Properties>" },
    ["short-time UnusedStreamDeletionTimeout"],
  ],
  [
    "a rule without provider",
    {
      origins: rule("/a/", "o:1/a/", "rtsp"),
      applications: "<Application><Name>*</Name><Type>live</Type><Providers><OVT/></Providers></Application>",
    },
    ["no-provider Scheme"],
  ],
  [
    "a rule without application",
    { origins: rule("/a/", "o:1/a/"), applications: "<Application><Name>b</Name><Type>live</Type></Application>" },
    ["no-application Location"],
  ],
  [
    "names given twice",
    { applications: "<Application><Name>b</Name><Type>live</Type></Application>".repeat(2) },
    ["name-given-twice Name"],
  ],
  [
    "virtual hosts that nobody reaches",
    {
      vhosts:
        `<VirtualHost><Name>a</Name>${host("*.example.com", "x:80", "http://y", "(z")}</VirtualHost>` +
        `<VirtualHost><Name>b</Name>${host("b.example.com", "c.com")}</VirtualHost><VirtualHost><Name>c</Name></VirtualHost>` +
        `<VirtualHost><Name>c</Name>${host("*")}</VirtualHost><VirtualHost><Name>d</Name>${host("d")}</VirtualHost>`,
    },
    [
      "unreachable-name Name[2]",
      "unreachable-name Name[3]",
      "unreachable-name Name[4]",
      "unreachable-name Name[1]",
      "unreachable-vhost VirtualHost[3]",
      "name-given-twice Name",
      "unreachable-name Name[1]",
    ],
  ],
  [
    "policies that guard nothing",
    {
      vhost:
        "<SignedPolicy><PolicyQueryKeyName>p</PolicyQueryKeyName><SignatureQueryKeyName>s</SignatureQueryKeyName><SecretKey></SecretKey>" +
        "<Enables><Publishers>webrtc,hls</Publishers></Enables></SignedPolicy>" +
        "<AdmissionWebhooks><ControlServerUrl>http://control.example.com/x</ControlServerUrl><SecretKey>k</SecretKey></AdmissionWebhooks>",
    },
    ["empty-secret SecretKey", "unknown-publisher Publishers", "covers-nothing Enables", "insecure ControlServerUrl"],
  ],
  [
    "a store without password or name",
    {
      bind: ovt,
      vhost: "<OriginMapStore><RedisServer><Host>redis:6379</Host></RedisServer></OriginMapStore>",
      applications: publishesOvt,
    },
    ["not-announced OriginHostName", "no-provider OriginMapStore", "insecure Auth"],
  ],
  [
    "a store whose entries lead nowhere",
    {
      vhosts:
        `<VirtualHost><Name>a</Name>${host("a.com")}<OriginMapStore><RedisServer><Host>127.0.0.1:1</Host></RedisServer>` +
        `<OriginHostName>o.com</OriginHostName></OriginMapStore></VirtualHost>`,
    },
    ["unreachable-name OriginHostName", "no-ovt-port OriginHostName", "no-ovt-publisher OriginHostName"],
  ],
  [
    "ports that exclude each other",
    {
      bind: "<Publishers><OVT><Port>1</Port></OVT><LLHLS><Port>2</Port><TLSPort>1</TLSPort></LLHLS><WebRTC><Signalling><Port>2</Port><TLSPort>2</TLSPort></Signalling></WebRTC></Publishers>",
    },
    ["no-certificate Bind", "port-conflict TLSPort", "port-conflict TLSPort"],
  ],
  [
    "delivery without a door",
    {
      applications:
        "<Application><Name>a</Name><Type>live</Type><Publishers><LLHLS/><WebRTC/><OVT/></Publishers></Application>",
    },
    ["no-door Bind", "no-door Bind", "no-door Bind"],
  ],
  [
    "a playout delay whose limits contradict each other",
    {
      bind: "<Publishers><WebRTC><Signalling><Port>1</Port></Signalling></WebRTC></Publishers>",
      applications:
        "<Application><Name>a</Name><Type>live</Type><Publishers><WebRTC><PlayoutDelay><Min>100</Min><Max>50</Max></PlayoutDelay></WebRTC></Publishers></Application>",
    },
    ["bad-value Max"],
  ],
  [
    "a window to rewind that nobody can, and a folder that depends on where the node is started",
    {
      bind: "<Publishers><LLHLS><Port>1</Port></LLHLS></Publishers>",
      applications:
        "<Application><Name>a</Name><Type>live</Type><Publishers><LLHLS><DVR><Enable>true</Enable><TempStoragePath>dvr</TempStoragePath><MaxDuration>20</MaxDuration></DVR></LLHLS></Publishers></Application>",
    },
    ["bad-value TempStoragePath", "bad-value MaxDuration"],
  ],
  [
    "an open API",
    { ip: "*", bind: "<Managers><API><Port>8081</Port></API></Managers>" },
    ["empty-secret Managers", "insecure Port"],
  ],
  [
    "settings of our own that cannot be",
    {
      top:
        "<Hearth><Node><Id>a b</Id><PublicUrl>edge.example.com</PublicUrl></Node><AdvertisedAddresses><Address>host</Address></AdvertisedAddresses>" +
        "<OvtLink><TrustedPeers><Peer>10.0.0.0/8</Peer><Peer> fd00::1 </Peer><Peer>10.0.0.0/</Peer><Peer>10.1</Peer>" +
        "<Peer>fd00::/129</Peer><Peer>edge.example.com</Peer><Peer>0.0.0.0/0</Peer></TrustedPeers></OvtLink>" +
        "<Prewarm><Stream>app</Stream><Stream>none/app/s</Stream></Prewarm></Hearth>",
    },
    [
      "bad-url PublicUrl",
      "bad-value Id",
      "bad-value Address[1]",
      "bad-value Peer[3]",
      "bad-value Peer[4]",
      "bad-value Peer[5]",
      "bad-value Peer[6]",
      "blanks Peer[2]",
      "insecure Peer[7]",
      "unknown-stream Stream[1]",
      "unknown-stream Stream[2]",
    ],
  ],
];

for (const [what, parts, expected] of table) {
  test(`reports ${what}`, () => assert.deepEqual(findings(parts).toSorted(), expected.toSorted()));
}

test("a password in a Url is not repeated in a message", () => {
  const { problems } = parseServerXml(
    server({ origins: rule("/a/", ["rtsp://u:hunter2@o/a/", "u:hunter2@o/a", "u:hunter2@o:x/a/"], "rtsp") }),
    { path: "f", env: {} },
  );
  assert.equal(problems.length, 3);
  assert.doesNotMatch(JSON.stringify(problems), /hunter2/);
});

test("reports certificates that are not where the file says, where anybody could look", () => {
  const tls = "<TLS><CertPath>a.crt</CertPath><KeyPath>a.key</KeyPath></TLS>";
  const text = server({
    bind: "<Publishers><LLHLS><Port>1</Port><TLSPort>2</TLSPort></LLHLS></Publishers>",
    vhosts: `<VirtualHost><Name>a</Name><Host><Names><Name>*</Name></Names>${tls}</Host></VirtualHost>`,
  });
  const said = (hasFile?: (path: string) => boolean): string[] =>
    parseServerXml(text, { path: "conf/f.xml", env: {}, hasFile }).problems.map(({ message }) => message);
  assert.deepEqual(said(), []);
  assert.deepEqual(
    said(() => true),
    [],
  );
  assert.match(
    said(() => false).join(),
    /^conf\/a.crt and conf\/a.key cannot be found: virtual host "a" goes without TLS/,
  );
  assert.match(said((path) => path.endsWith("key")).join(), /^conf\/a.crt cannot be found: the node does not start/);
});
