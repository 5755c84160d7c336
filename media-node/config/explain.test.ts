import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { explainRequest, printExplanation, type ExplainLookups } from "./explain.ts";
import { parseServerXml } from "./parse-server-xml.ts";

const application = (name: string, providers: string): string =>
  `<Application><Name>${name}</Name><Type>live</Type><Providers>${providers}</Providers></Application>`;
const { config } = parseServerXml(
  `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts>
  <VirtualHost><Name>main</Name><Host><Names><Name>*.example.com</Name></Names></Host>
    <SignedPolicy><PolicyQueryKeyName>p</PolicyQueryKeyName><SignatureQueryKeyName>s</SignatureQueryKeyName>
      <SecretKey>secret</SecretKey><Enables><Publishers>llhls</Publishers></Enables></SignedPolicy>
    <Origins><Origin><Location>/app/</Location><Pass><Scheme>ovt</Scheme><Urls><Url>o1:9000/live/</Url><Url>o2:9000/live/</Url></Urls></Pass></Origin>
      <Origin><Location>/cams/</Location><Pass><Scheme>RTSP</Scheme><Urls><Url>u:hunter2@cam/</Url></Urls></Pass></Origin>
      <Origin><Location>/dyn</Location><Pass><Scheme>rtsp</Scheme><Urls><Url>cam</Url></Urls></Pass></Origin></Origins>
    <OriginMapStore><RedisServer><Host>127.0.0.1:6379</Host></RedisServer></OriginMapStore>
    <Applications>${application("app", "<OVT/>")}${application("cams", "<RTSPPull/>")}${application("*", "<OVT/>")}</Applications>
  </VirtualHost>
  <VirtualHost><Name>plain</Name><Host><Names><Name>plain</Name></Names></Host></VirtualHost>
  </VirtualHosts></Server>`,
  { path: "f", env: {} },
);
assert.ok(config);

const explain = (url: string, lookups?: ExplainLookups) => explainRequest(url, config, lookups);
const store = (...urls: string[]): ExplainLookups => ({
  isPublished: () => false,
  lookupStore: () => Promise.resolve(urls),
});

test("tells the rule and what is pulled, the viewer's own query included", async () => {
  const explanation = await explain("ws://a.example.com:3333/app/stream?t=1&p=x&s=y&rt=z");
  assert.equal(explanation.vhost, "main");
  assert.deepEqual(explanation.rule, { number: 1, location: "/app/", scheme: "ovt" });
  assert.equal(explanation.decision, "pull");
  assert.deepEqual(explanation.urls, ["ovt://o1:9000/live/stream?t=1", "ovt://o2:9000/live/stream?t=1"]);
  assert.equal(
    printExplanation(explanation),
    [
      "a.example.com:3333/app/stream",
      'host:        "*.example.com" of "main" is the first to match "a.example.com"',
      'path:        application "app", stream "stream"',
      "access:      open: no policy covers webrtc",
      "local:       not asked: no node runs here",
      'application: "app" is configured',
      'map:         "/app/stream" begins with "/app/" (rule 1)',
      "store:       asked if every Url of the rule has failed once; not done here",
      "It is pulled from, in this order:",
      "  ovt://o1:9000/live/stream?t=1",
      "  ovt://o2:9000/live/stream?t=1",
      "",
    ].join("\n"),
  );
});

test("a stream that is there comes first", async () => {
  const { decision } = await explain("ws://a.example.com/app/stream", { isPublished: () => true });
  assert.equal(decision, "serve");
});

test("keeps passwords to itself", async () => {
  const explanation = await explain("ws://a.example.com/cams/1");
  assert.deepEqual(explanation.urls, ["RTSP://u:***@cam/1"]);
  const fromStore = await explain("ws://a.example.com/new/1", store("ovt://u:hunter2@o:9000/new/1"));
  assert.doesNotMatch(JSON.stringify([explanation, fromStore]) + printExplanation(fromStore), /hunter2/);
});

test("asks the store where no rule decides, and judges what it says", async () => {
  const decide = async (lookups?: ExplainLookups) => {
    const { decision, urls, reason } = await explain("ws://a.example.com/new/1", lookups);
    return [decision, ...urls, reason].join(" | ");
  };
  assert.match(await decide(store("ovt://o:9000/new/1")), /^pull \| ovt:\/\/o:9000\/new\/1 \| the store names 1/);
  assert.match(await decide(store()), /^not-found \| none of the 3 rules .*, and the store knows no origin/);
  assert.match(await decide(store("rtsp://cam/1")), /^not-found .*<RTSPPull> is not enabled for "new"/);
  for (const strange of ["file:///etc/passwd", "http://x/", "ovt://", "ovt://a b/", "ovt:///x/y", "/new/1", ""]) {
    assert.match(await decide(store(strange)), /^not-found .*not a URL that can be pulled/, strange);
  }
  assert.match(await decide({ lookupStore: () => Promise.reject(new Error("down")) }), /^not-found .*does not answer/);
  assert.match(await decide(), /^ask-store/);
});

test("tells what the store would say when the rule's Urls have failed", async () => {
  const afterRule = async (lookups: ExplainLookups) => {
    const { decision, urls, steps } = await explain("ws://a.example.com/app/stream", lookups);
    assert.deepEqual([decision, urls.length], ["pull", 2], "the rule still decides");
    return steps.find(({ question }) => question === "store")!.answer;
  };
  const when = "asked if every Url of the rule has failed once";
  assert.equal(
    await afterRule(store("ovt://u:hunter2@o:9000/app/stream")),
    `${when}: then ovt://u:***@o:9000/app/stream`,
  );
  assert.equal(await afterRule(store()), `${when}: the store knows no origin of the stream`);
  const silent = { lookupStore: () => Promise.reject(new Error("down")) };
  assert.equal(await afterRule(silent), `${when}; now it does not answer`);
});

test("says why nothing is found", async () => {
  const table: readonly [string, RegExp][] = [
    ["http://nowhere.org/app/s", /no virtual host/],
    ["http://a.example.com/", /the app has no name/],
    ["http://a.example.com/app", /the stream has no name/],
    ["http://a.example.com/app/x%20y@z", /forbidden character/],
    ["http://plain/app/s", /none of the 0 rules/],
    ["http://a.example.com/dynamic/s", /<RTSPPull> is not enabled|nothing|the store/],
  ];
  for (const [url, reason] of table) {
    const explanation = await explain(url, store());
    assert.equal(explanation.decision, "not-found", url);
    assert.match(explanation.reason, reason);
  }
});

test("shows what a rule makes of a request that it must not pull", async () => {
  const both = parseServerXml(
    `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts><VirtualHost><Name>v</Name>
     <Origins><Origin><Location>/</Location><Pass><Scheme>ovt</Scheme><Urls><Url>o:90</Url></Urls></Pass></Origin></Origins>
     <Applications>${application("*", "<OVT/>")}</Applications></VirtualHost></VirtualHosts></Server>`,
    { path: "f", env: {} },
  );
  const explanation = await explainRequest("/00/s", both.config!);
  assert.equal(explanation.decision, "not-found");
  assert.match(printExplanation(explanation), /ovt:\/\/o:9000\/s is refused: .*without a slash/);
});

test("judges a signed policy where it can", async () => {
  const nowMs = 1_800_000_000_000;
  const signed = (url: string): string => `${url}&s=${createHmac("sha1", "secret").update(url).digest("base64url")}`;
  const policy = Buffer.from(JSON.stringify({ url_expire: nowMs })).toString("base64url");
  const url = signed(`http://a.example.com:80/app/stream/llhls.m3u8?p=${policy}`);
  assert.equal((await explain(url, { nowMs })).decision, "pull");
  assert.equal((await explain(url, { nowMs: nowMs + 1 })).reason, "the signed policy refuses: expired");
  assert.equal((await explain("http://a.example.com/app/stream/llhls.m3u8", { nowMs })).decision, "refuse");
});
