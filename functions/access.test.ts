import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { verifyTicket } from "#cluster/ticket/ticket.ts";
import { routerFixture, startMs, type RouterFixture } from "../test/support/router.ts";
import { openVhosts } from "./vhosts.ts";

const serverXml = `<Server version="8"><Name>n</Name><Type>edge</Type><IP>*</IP><Bind/><VirtualHosts><VirtualHost>
  <Name>default</Name><Host><Names><Name>router.test</Name></Names></Host>
  <SignedPolicy><PolicyQueryKeyName>policy</PolicyQueryKeyName><SignatureQueryKeyName>signature</SignatureQueryKeyName>
    <SecretKey>aKq#1kj</SecretKey><Enables><Publishers>webrtc,llhls</Publishers></Enables></SignedPolicy>
  <Origins><Origin><Location>/ruled/</Location><Pass><Scheme>ovt</Scheme><Urls><Url>origin:9000/ruled/</Url></Urls></Pass></Origin></Origins>
</VirtualHost></VirtualHosts></Server>`;
const vhosts = openVhosts(serverXml, {});

/** Signs as OvenMediaEngine's script does: HMAC-SHA1 over the URL with its port. */
function signed(url: string, policy: object): string {
  const text = `${url}?policy=${Buffer.from(JSON.stringify(policy)).toString("base64url")}`;
  const signature = createHmac("sha1", "aKq#1kj").update(text).digest("base64url");
  return `${new URL(text).pathname}${new URL(text).search}&signature=${signature}`;
}

const valid = { url_expire: startMs + 60_000 };

test("a signed playlist is redirected, one that is not is refused with the reason", async () => {
  const { ask } = await routerFixture({}, { vhosts });
  const url = "http://router.test:80/app/stream/llhls.m3u8";
  assert.equal((await ask(signed(url, valid))).status, 302);
  assert.equal((await ask("/app/stream/llhls.m3u8")).status, 401);
  assert.equal((await ask(signed(url, valid).replace("llhls.m3u8", "other.m3u8"))).status, 403);
  const expired = await ask(signed(url, { url_expire: startMs - 1 }));
  assert.equal(expired.status, 403);
  assert.match(((await expired.json()) as { error: string }).error, /has expired/);
});

test("an offer and a resolved socket need one, too", async () => {
  const { ask } = await routerFixture({}, { vhosts });
  const post = (path: string) => ask(path, { method: "POST", body: "v=0" });
  assert.equal((await post("/app/stream/whep")).status, 401);
  assert.equal((await post(signed("http://router.test:80/app/stream/whep", valid))).status, 307);
  const socket = signed("ws://router.test:80/app/stream", valid);
  assert.equal((await ask(`/-/resolve${socket}&protocol=webrtc`)).status, 200);
  assert.equal((await ask("/-/resolve/app/stream?protocol=webrtc")).status, 401);
});

test("the node is told when the policy ends the session", async () => {
  const fixture = await routerFixture({}, { vhosts });
  const policy = { ...valid, stream_expire: startMs + 90_000 };
  const answer = await fixture.ask(signed("http://router.test:80/app/stream/llhls.m3u8", policy));
  const location = new URL(answer.headers.get("Location")!);
  const scope = {
    node: location.hostname.replace(".test", ""),
    name: { vhost: "default", app: "app", stream: "stream" },
    protocol: "llhls",
  } as const;
  const verdict = await verifyTicket(fixture.key, location.searchParams.get("rt"), scope, startMs);
  assert.deepEqual(verdict, { admitted: true, expiresMs: startMs + 60_000, sessionEndsMs: startMs + 90_000 });
});

test("an address is believed from the edge network only", async () => {
  const { ask } = await routerFixture({}, { vhosts });
  const path = signed("http://router.test:80/app/stream/llhls.m3u8", { ...valid, allow_ip: "192.0.2.0/24" });
  const from = async (headers: Record<string, string>) => (await ask(path, { headers })).status;
  assert.equal(await from({ "CF-Connecting-IP": "192.0.2.7" }), 302);
  assert.equal(await from({ "CF-Connecting-IP": "198.51.100.1", "X-Real-IP": "192.0.2.7" }), 403);
  assert.equal(await from({ "X-Forwarded-For": "192.0.2.7" }), 403);
});

test("virtual hosts and rules of the Server.xml decide which streams there are", async () => {
  const { ask } = await routerFixture({}, { vhosts });
  const ruled = signed("http://router.test:80/ruled/any/llhls.m3u8", valid);
  assert.equal((await ask(ruled)).status, 302);
  const answer = await ask("http://other.test/app/stream/llhls.m3u8");
  assert.equal(answer.status, 404);
  assert.equal(((await answer.json()) as { code: string }).code, "unknown-host");
});

test("a Server.xml with a mistake is refused with its line", () => {
  assert.throws(() => openVhosts("<Server><oops></Server>", {}), /Server\.xml, line \d/);
});

test("the Server.xml that edges are installed with will do as it is", () => {
  const installed = readFileSync(new URL("../infra/vm/Server.xml", import.meta.url), "utf8");
  assert.equal(openVhosts(installed, {}).vhostOf("any.example.com"), "default");
});

describe("a bearer token of a WHEP player", () => {
  const url = "http://router.test:80/app/stream/whep";
  const query = new URLSearchParams(new URL(signed(url, valid), url).search);
  const token = `${query.get("policy")}.${query.get("signature")}`;
  const post = (ask: RouterFixture["ask"], authorization: string, path = "/app/stream/whep") =>
    ask(path, { method: "POST", body: "v=0", headers: { Authorization: authorization } });

  test("is exchanged for a ticket, and goes no further", async () => {
    const fixture = await routerFixture({}, { vhosts });
    const answer = await post(fixture.ask, `Bearer ${token}`);
    assert.equal(answer.status, 307);
    const location = new URL(answer.headers.get("Location")!);
    assert.deepEqual([...location.searchParams.keys()], ["rt", "rtid"]);
    const name = { vhost: "default", app: "app", stream: "stream" };
    const scope = { node: location.hostname.replace(".test", ""), name, protocol: "whep" } as const;
    assert.ok((await verifyTicket(fixture.key, location.searchParams.get("rt"), scope, startMs)).admitted);
  });

  test("nor does it when the offer is passed on", async () => {
    const sent: Headers[] = [];
    const fetch = async (_: string, init: RequestInit | Request) => {
      sent.push(new Headers(init.headers));
      return new Response("v=0", { status: 201 });
    };
    const { ask } = await routerFixture({}, { vhosts, fetch });
    const via = "http://router.test:80/app/stream/whep?via=proxy";
    const text = `${via}&policy=${query.get("policy")}`;
    const signature = createHmac("sha1", "aKq#1kj").update(text).digest("base64url");
    const answer = await post(ask, `Bearer ${query.get("policy")}.${signature}`, "/app/stream/whep?via=proxy");
    assert.equal(answer.status, 201);
    assert.deepEqual([...sent[0]!.keys()], ["content-type", "traceparent"]);
  });

  test("opens neither another stream nor another door", async () => {
    const { ask } = await routerFixture({}, { vhosts });
    assert.equal((await post(ask, `Bearer ${token}`, "/app/other/whep")).status, 403);
    assert.equal((await post(ask, `Bearer ${token}x`)).status, 403);
    for (const no of [`Basic ${token}`, "Bearer", "Bearer x", token])
      assert.equal((await post(ask, no)).status, 401, no);
    const headers = { Authorization: `Bearer ${token}` };
    assert.equal((await ask("/app/stream/llhls.m3u8", { headers })).status, 401);
  });
});
