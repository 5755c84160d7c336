import assert from "node:assert/strict";
import { test } from "node:test";
import { StoreUnavailable, type ClusterStore } from "./cluster/store/contract.ts";
import { parseServerXml } from "./config/parse-server-xml.ts";
import { planPulls } from "./pull-planner.ts";
import { ManualClock } from "./time/manual-clock.ts";

const origin = (location: string, scheme: string, url: string, more = ""): string =>
  `<Origin><Location>${location}</Location><Pass><Scheme>${scheme}</Scheme><Urls><Url>${url}</Url></Urls></Pass>${more}</Origin>`;
const ownClock = "<IgnoreRtcpSRTimestamp>true</IgnoreRtcpSRTimestamp>";
const { config } = parseServerXml(
  `<Server version="8"><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts><VirtualHost><Name>v</Name>
  <SignedPolicy><PolicyQueryKeyName>pol</PolicyQueryKeyName><SignatureQueryKeyName>sig</SignatureQueryKeyName><SecretKey>k</SecretKey></SignedPolicy>
  <Origins><Properties><RetryCount>3</RetryCount></Properties>${origin("/app/", "ovt", "o:9000/app/")}${origin("/cam/", "rtsp", "cam/")}${origin("/tls/", "rtsps", "cam/", ownClock)}</Origins>
  <Applications><Application><Name>tls</Name><Type>live</Type><Providers><RTSPPull/></Providers></Application><Application><Name>cam</Name><Type>live</Type><Providers><OVT/></Providers></Application><Application><Name>*</Name><Type>live</Type><Providers><OVT/></Providers></Application></Applications>
  </VirtualHost></VirtualHosts></Server>`,
  { path: "f", env: {} },
);
assert.ok(config);

const storeThat = (lookup: () => Promise<readonly string[]>): ClusterStore => ({
  lookup,
  snapshot: () => Promise.reject(new Error("not asked")),
  claim: () => Promise.reject(new Error("not asked")),
  release: () => Promise.resolve(),
  putNode: () => Promise.resolve(0),
  dropNode: () => Promise.resolve(),
  close: () => Promise.resolve(),
});
const planAt = (clock: ManualClock, store?: ClusterStore, closing = new AbortController().signal) =>
  planPulls(
    () => config,
    () => store,
    { clock, closing },
  );
/** Of a node that started long ago. */
const plan = (app: string, lookup?: () => Promise<readonly string[]>, protocol: "webrtc" | "ovt" = "webrtc") => {
  const clock = new ManualClock();
  const planner = planAt(clock, lookup && storeThat(lookup));
  clock.advance(8_000);
  return planner({ vhost: "v", app, stream: "s" }, { protocol, rawQuery: "a=1&pol=secret&sig=secret&session=secret" });
};
const found =
  (...urls: string[]) =>
  () =>
    Promise.resolve(urls);

test("a rule comes before the store, and the origin sees no policy of ours", async () => {
  const result = await plan("app", () => Promise.reject(new Error("asked")));
  assert.ok(!("kind" in result));
  const { urls, from, retryCount } = result;
  assert.deepEqual({ urls, from, retryCount }, { urls: ["ovt://o:9000/app/s?a=1"], from: "rule", retryCount: 3 });
});

test("RTSP within TLS is pulled by RTSP's provider, and the rule says whether its clock is believed", async () => {
  const secure = await plan("tls");
  assert.ok(!("kind" in secure));
  assert.deepEqual([secure.urls, secure.ignoresSourceClock], [["rtsps://cam/s?a=1"], true]);
  const other = await plan("app");
  assert.ok(!("kind" in other));
  assert.equal(other.ignoresSourceClock, false);
});

test("the store is asked where no rule fits, and where the rule that fits cannot be followed", async () => {
  for (const app of ["new", "cam"]) {
    const result = await plan(app, found("rtsp://cam/s", "ovt://p:9000/new/s"));
    assert.ok(!("kind" in result));
    assert.deepEqual([result.from, ...result.urls], ["store", "ovt://p:9000/new/s"]);
  }
});

test("what the store says is not trusted", async () => {
  for (const url of ["file:///etc/passwd", "http://x/y", "ovt://", "nonsense"]) {
    assert.equal(Reflect.get(await plan("new", found(url)), "kind"), "not-found", url);
  }
});

test("a peer that asks by OVT is answered from rules only", async () => {
  assert.equal(Reflect.get(await plan("new", found("ovt://p:9000/new/s"), "ovt"), "kind"), "not-found");
});

test("a silent store is no proof that a stream does not exist", async () => {
  const silent = () => Promise.reject(new StoreUnavailable("no answer"));
  assert.equal(Reflect.get(await plan("new", silent), "kind"), "unavailable");
  assert.equal(Reflect.get(await plan("new"), "kind"), "not-found");
});

test("a node that has just started waits for its store, once, and for no longer than viewers do", async () => {
  const clock = new ManualClock();
  let isThere = false;
  let asked = 0;
  const store = storeThat(() => {
    asked++;
    return isThere ? Promise.resolve(["ovt://p:9000/new/s"]) : Promise.reject(new StoreUnavailable("no answer"));
  });
  const name = { vhost: "v", app: "new", stream: "s" };
  const request = { protocol: "llhls" } as const;
  const turns = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };
  const planner = planAt(clock, store);
  const early = planner(name, request);
  await turns();
  assert.equal(asked, 1);
  isThere = true;
  clock.advance(250);
  assert.equal(Reflect.get(await early, "from"), "store");
  isThere = false;
  assert.equal(Reflect.get(await planner(name, request), "kind"), "unavailable", "it has answered before");

  const other = planAt(clock, store);
  const waiting = other(name, request);
  for (let passed = 0; passed < 8_000; passed += 250) {
    await turns();
    clock.advance(250);
  }
  assert.equal(Reflect.get(await waiting, "kind"), "unavailable");
  assert.equal(Reflect.get(await other(name, request), "kind"), "unavailable");

  const closing = new AbortController();
  const last = planAt(clock, store, closing.signal)(name, request);
  await turns();
  closing.abort();
  clock.advance(250);
  assert.equal(Reflect.get(await last, "kind"), "unavailable");
});

test("behind a rule stands the store, asked only when the rule's URLs have failed", async () => {
  const asked: string[] = [];
  const result = await plan("app", async () => {
    asked.push("store");
    return ["ovt://p:9000/app/s"];
  });
  assert.ok(!("kind" in result) && result.otherwise);
  assert.deepEqual(asked, []);
  const others = await result.otherwise();
  assert.ok(!("kind" in others));
  assert.deepEqual([others.from, ...others.urls], ["store", "ovt://p:9000/app/s"]);
  const without = await plan("app");
  assert.ok(!("kind" in without));
  assert.equal(without.otherwise, undefined);
});
