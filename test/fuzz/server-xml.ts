import assert from "node:assert/strict";
import { checkServerXml } from "../../media-node/config/check.ts";
import { parseServerXml } from "../../media-node/config/parse-server-xml.ts";

/**
 * Reads bytes as a Server.xml. Whatever they are: a verdict comes out, never a throw; a configuration is plain data;
 * every problem has a place, and no prototype has changed.
 */
export function fuzz(input: Uint8Array): void {
  const text = new TextDecoder().decode(input);
  const options = {
    path: "Server.xml",
    env: { NAME: "value", EMPTY: "" },
    readInclude: () => [{ path: "x.xml", text }],
  };
  const { config, problems } = parseServerXml(text, options);
  assert.equal(
    config === undefined,
    problems.some(({ severity }) => severity === "error"),
  );
  if (config) assert.deepEqual(JSON.parse(JSON.stringify(config)), config);
  const lines = text.split(/\n/).length;
  for (const { line, message, remedy } of problems) {
    assert.ok(line >= 1 && line <= lines && message !== "" && remedy !== "");
  }
  assert.equal(checkServerXml(text, options).exitCode, config ? 0 : 1);
  assert.deepEqual(Object.keys(Object.prototype), []);
  assert.equal(Reflect.ownKeys(Object.prototype).length, ownKeys);
}

const ownKeys = Reflect.ownKeys(Object.prototype).length;

/** What random changes start from: every element and every form of value once. */
export const seeds: readonly string[] = [
  `<?xml version="1.0"?><Server version="8"><Name>\${env:NAME:x}</Name><Type>edge</Type><IP>*</IP><StunServer>a:1</StunServer>
<Hearth ignore="true"><Node><Id>n</Id><PublicUrl>http://h:1</PublicUrl><MaxViewers>9</MaxViewers></Node><OperatorPort>0</OperatorPort>
<AdvertisedAddresses><Address>203.0.113.7</Address></AdvertisedAddresses><Prewarm><Stream>a/s</Stream></Prewarm>
<TrustedProxies><Proxy>10.0.0.0/8</Proxy></TrustedProxies><OperatorAddress>::1</OperatorAddress><OvtLink><TrustedPeers><Peer>10.0.0.0/8</Peer></TrustedPeers><RequireToken>true</RequireToken></OvtLink></Hearth>
<Bind><Managers><API><Port>8081</Port></API></Managers><Publishers><OVT><Port>9000/srt</Port></OVT><LLHLS><Port>80</Port></LLHLS>
<WebRTC><Signalling><Port>3333</Port></Signalling><IceCandidates><IceCandidate>\${PublicIP}:10000-10004/udp</IceCandidate></IceCandidates></WebRTC>
</Publishers></Bind><Defaults><CrossDomains><Url>*</Url><Header><Key>X-A</Key><Value>b</Value></Header></CrossDomains></Defaults><VirtualHosts><VirtualHost><Name>v</Name>
<Host><Names><Name>*.e?.com</Name></Names><TLS><CertPath>a</CertPath><KeyPath>b</KeyPath></TLS></Host><SignedPolicy><SecretKey/></SignedPolicy>
<Origins><Properties><RetryCount>2</RetryCount></Properties><Origin><Location>/a/</Location><Pass><Scheme>ovt</Scheme><Urls>
<Url>o:9000/a/?x=1</Url></Urls><ForwardQueryParams>false</ForwardQueryParams></Pass><Persistent>1</Persistent></Origin></Origins>
<OriginMapStore><RedisServer><Host>r:6379</Host><Auth><![CDATA[a&b]]></Auth></RedisServer></OriginMapStore><Applications>
<Application><Name>*</Name><Type>live</Type><OutputProfiles>...</OutputProfiles><Providers><OVT/><RTSPPull/></Providers><Publishers>
<WebRTC><PlayoutDelay><Min>1</Min></PlayoutDelay></WebRTC><LLHLS><ChunkDuration>0.5</ChunkDuration><CacheControl><SegmentMaxAge>9</SegmentMaxAge></CacheControl></LLHLS><OVT/></Publishers>
</Application></Applications></VirtualHost><VirtualHost include="v*.xml"/></VirtualHosts></Server>`,
  `<Server version="5"><Bind/><VirtualHosts><VirtualHost><Origins><Origin><Location>/</Location><Pass><Scheme>file</Scheme>
<Urls><Url>/a.mp4</Url></Urls></Pass><ForwardQueryParams>yes</ForwardQueryParams></Origin></Origins></VirtualHost></VirtualHosts></Server>`,
];
