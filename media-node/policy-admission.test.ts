import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { after, test } from "node:test";
import { askControlServer } from "./admission-webhook.ts";
import { parseServerXml } from "./config/parse-server-xml.ts";
import type { ViewerTarget } from "./core/guest.ts";
import { admitBySignedPolicy, admitInTurn } from "./policy-admission.ts";
import { silentLogger } from "./flow/logger.ts";
import { until } from "../test/support/until.ts";
import { WebhookAdmission } from "./webhook-admission.ts";
import { ManualClock } from "./time/manual-clock.ts";

/** What the control server answers next, and what it was asked. */
let answer: { status: number; body: string } | "silence" = { status: 200, body: '{"allowed":true}' };
const asked: { headers: IncomingMessage["headers"]; body: string }[] = [];
const server = createServer((request, response) => {
  let body = "";
  request.setEncoding("utf8").on("data", (text: string) => (body += text));
  request.on("end", () => {
    asked.push({ headers: request.headers, body });
    if (answer !== "silence") response.writeHead(answer.status, { Location: "/elsewhere" }).end(answer.body);
  });
}).listen(0, "127.0.0.1");
await once(server, "listening");
after(() => {
  server.closeAllConnections();
  server.close();
});
const address = server.address();
assert.ok(address && typeof address === "object");

const vhost = (name: string, inside: string): string =>
  `<VirtualHost><Name>${name}</Name><Host><Names><Name>${name}.example.com</Name></Names></Host>${inside}</VirtualHost>`;
const enables = "<Enables><Publishers>webrtc,llhls</Publishers></Enables>";
const asking = (timeoutMs: number): string =>
  `<AdmissionWebhooks><ControlServerUrl>http://127.0.0.1:${address.port}/</ControlServerUrl><SecretKey>k</SecretKey>
   <Timeout>${timeoutMs}</Timeout>${enables}</AdmissionWebhooks>`;
const { config } = parseServerXml(
  `<Server version="8"><Type>edge</Type><IP>*</IP><Bind><Publishers><LLHLS><Port>8080</Port></LLHLS></Publishers></Bind><VirtualHosts>
  ${vhost("open", "")}${vhost("signed", `<SignedPolicy><PolicyQueryKeyName>policy</PolicyQueryKeyName><SignatureQueryKeyName>signature</SignatureQueryKeyName><SecretKey>k</SecretKey>${enables}</SignedPolicy>`)}
  ${vhost("asking", asking(30_000))}${vhost("hasty", asking(50))}
  </VirtualHosts></Server>`,
  { path: "f", env: {} },
);
assert.ok(config);
const clock = new ManualClock();
const webhooks = new WebhookAdmission({ configNow: () => config, clock, logger: silentLogger });
const admit = admitInTurn(
  admitBySignedPolicy(() => config, clock),
  webhooks.admit,
);

const target = (name: string, rawQuery = "", baseUrl = "http://edge.example.com"): ViewerTarget => ({
  vhost: name,
  app: "app",
  stream: "stream",
  file: "llhls.m3u8",
  rawQuery,
  query: new URLSearchParams(rawQuery),
  baseUrl,
  remoteAddress: "192.0.2.7",
  peer: { address: "10.0.0.1", port: 4711 },
  userAgent: "player",
});
const isAdmitted = async (...of: Parameters<typeof admit>): Promise<boolean> => (await admit(...of)).isAdmitted;

test("a virtual host without policy admits everybody", async () => {
  assert.equal(await isAdmitted(target("open"), "llhls"), true);
});

test("a signed policy admits the URL that was signed, with the port of the door where the viewer names none", async () => {
  const policy = Buffer.from(JSON.stringify({ url_expire: clock.wallMs() + 1_000 })).toString("base64url");
  const signed = (url: string): string =>
    `policy=${policy}&signature=${createHmac("sha1", "k").update(`${url}?policy=${policy}`).digest("base64url")}`;
  const path = "/app/stream/llhls.m3u8";
  assert.equal(await isAdmitted(target("signed", signed(`http://edge.example.com:8080${path}`)), "llhls"), true);
  const other = "http://edge.example.com:81";
  assert.equal(await isAdmitted(target("signed", signed(`${other}${path}`), other), "llhls"), true);
  assert.equal(await isAdmitted(target("signed", signed(`ws://edge.example.com:81${path}`), other), "webrtc"), true);
  assert.equal(await isAdmitted(target("signed", signed(`http://edge.example.com:80${path}`)), "llhls"), false);
  assert.deepEqual(await admit(target("signed"), "llhls"), {
    isAdmitted: false,
    status: 401,
    reason: "the URL carries no policy",
  });
});

test("a WHEP player may send policy and signature as its bearer token", async () => {
  const policy = Buffer.from(JSON.stringify({ url_expire: clock.wallMs() + 1_000 })).toString("base64url");
  const url = `http://edge.example.com:81/app/stream/llhls.m3u8?policy=${policy}`;
  const bearer = `Bearer ${policy}.${createHmac("sha1", "k").update(url).digest("base64url")}`;
  const viewer = target("signed", "", "http://edge.example.com:81");
  assert.equal(await isAdmitted(viewer, "whep", bearer), true);
  assert.equal(await isAdmitted(viewer, "whep", `${bearer}x`), false);
  assert.equal(await isAdmitted(viewer, "whep"), false);
});

test("the control server is asked in OvenMediaEngine's words, signed", async () => {
  answer = { status: 200, body: '{"allowed":true,"new_url":"","lifetime":0}' };
  asked.length = 0;
  assert.equal(await isAdmitted(target("asking", "a=1"), "llhls"), true);
  const [{ headers, body } = { headers: {}, body: "" }] = asked;
  assert.equal(headers["x-ome-signature"], createHmac("sha1", "k").update(body).digest("base64url"));
  assert.deepEqual(JSON.parse(body), {
    client: { address: "10.0.0.1", port: 4711, real_ip: "192.0.2.7", user_agent: "player" },
    request: {
      direction: "outgoing",
      protocol: "LLHLS",
      status: "opening",
      url: "http://edge.example.com:8080/app/stream/llhls.m3u8?a=1",
      time: new Date(clock.wallMs()).toISOString(),
    },
  });
});

test("whatever is not a clear yes of the control server is a no", async () => {
  const answers: (typeof answer)[] = [
    { status: 200, body: '{"allowed":false}' },
    { status: 200, body: '{"allowed":"true"}' },
    { status: 200, body: "{}" },
    { status: 200, body: "null" },
    { status: 200, body: "yes" },
    { status: 200, body: '{"allowed":true,"new_url":"http://edge.example.com:8080/app/other"}' },
    { status: 200, body: '{"allowed":1}' },
    { status: 200, body: `{"allowed":true,"reason":"${"x".repeat(70_000)}"}` },
    { status: 500, body: '{"allowed":true}' },
    { status: 302, body: '{"allowed":true}' },
  ];
  for (const one of answers) {
    answer = one;
    assert.equal(await isAdmitted(target("asking"), "webrtc"), false, JSON.stringify(one).slice(0, 60));
  }
  answer = "silence";
  assert.equal(await isAdmitted(target("hasty"), "webrtc"), false);
  const { admissionWebhooks } = config.vhosts[2]!;
  const nobody = { ...admissionWebhooks!, controlServerUrl: "http://127.0.0.1:1/" };
  const client = { address: "192.0.2.7", realAddress: "192.0.2.7" };
  const request = { client, protocol: "WebRTC", url: "ws://x/", wallMs: 0 } as const;
  assert.equal((await askControlServer(nobody, request)).isAllowed, false);
});

/** The body of the next question or notice that arrives. */
async function nextAsked(): Promise<{ request: Record<string, string> }> {
  await until("the control server to be asked", 5_000, () => asked.length > 0);
  return JSON.parse(asked.shift()!.body);
}

test("a policy's stream_expire and the control server's lifetime end the session, the earlier of them", async () => {
  const policy = { url_expire: clock.wallMs() + 1_000, stream_expire: clock.wallMs() + 60_000 };
  const encoded = Buffer.from(JSON.stringify(policy)).toString("base64url");
  const url = `http://edge.example.com:8080/app/stream/llhls.m3u8?policy=${encoded}`;
  const signature = createHmac("sha1", "k").update(url).digest("base64url");
  assert.deepEqual(await admit(target("signed", `policy=${encoded}&signature=${signature}`), "llhls"), {
    isAdmitted: true,
    endsAtMs: policy.stream_expire,
  });
  answer = { status: 200, body: '{"allowed":true,"lifetime":30000}' };
  const admission = await webhooks.admit(target("asking"), "webrtc");
  assert.ok(admission.isAdmitted);
  assert.equal(admission.endsAtMs, clock.wallMs() + 30_000);
  const both = admitInTurn(async () => ({ isAdmitted: true, endsAtMs: clock.wallMs() + 5 }), webhooks.admit);
  const earlier = await both(target("asking"), "webrtc");
  assert.equal(earlier.isAdmitted && earlier.endsAtMs, clock.wallMs() + 5);
});

test("a lifetime that no date can tell is none", async () => {
  for (const lifetime of ["9223372036854775807", "1e300", "0", "-1"]) {
    answer = { status: 200, body: `{"allowed":true,"lifetime":${lifetime}}` };
    const admission = await webhooks.admit(target("asking"), "llhls");
    assert.ok(admission.isAdmitted);
    assert.equal(admission.endsAtMs, undefined, lifetime);
  }
});

test("the control server is told once that a viewer it admitted is gone", async () => {
  answer = { status: 200, body: '{"allowed":true}' };
  const admission = await webhooks.admit(target("asking", "a=1"), "webrtc");
  assert.ok(admission.isAdmitted && admission.onEnd);
  asked.length = 0;
  admission.onEnd();
  admission.onEnd();
  const { request } = await nextAsked();
  const url = "ws://edge.example.com:80/app/stream/llhls.m3u8?a=1";
  assert.deepEqual([request["status"], request["url"], request["new_url"]], ["closing", url, url]);
  await webhooks.close();
  assert.equal(asked.length, 0);
});

test("a viewer refused by a later door was admitted by nobody: earlier ones are told", async () => {
  answer = { status: 200, body: '{"allowed":true}' };
  const refused = { isAdmitted: false, status: 403, reason: "no" } as const;
  asked.length = 0;
  assert.deepEqual(await admitInTurn(webhooks.admit, async () => refused)(target("asking"), "webrtc"), refused);
  assert.equal((await nextAsked()).request["status"], "opening");
  assert.equal((await nextAsked()).request["status"], "closing");
});

test("new_url puts another stream in place of the one asked for", async () => {
  const given = async (newUrl: string, protocol: Parameters<typeof admit>[1]) => {
    answer = { status: 200, body: JSON.stringify({ allowed: true, new_url: newUrl }) };
    const admission = await webhooks.admit(target("asking", "a=1"), protocol);
    if (!admission.isAdmitted) return admission.status;
    const { vhost: of, app, stream, file, rawQuery } = admission.target ?? target("asking", "a=1");
    return [of, app, stream, file, rawQuery].join(" ");
  };
  const unchanged = "asking app stream llhls.m3u8 a=1";
  assert.equal(await given("http://asking.example.com:8080/in/cam?t=2", "llhls"), "asking in cam llhls.m3u8 t=2");
  assert.equal(await given("http://asking.example.com/in/cam/abr.m3u8", "llhls"), "asking in cam abr.m3u8 ");
  assert.equal(await given("ws://open.example.com:3333/in/cam/abr", "webrtc"), "open in cam abr ");
  assert.equal(await given("http://open.example.com/in/cam", "whep"), "open in cam llhls.m3u8 ");
  // Players of LL-HLS go on asking the host they know.
  assert.equal(await given("http://open.example.com/in/cam/llhls.m3u8", "llhls"), 403);
  assert.equal(await given("ws://nobody.example.com/in/cam", "webrtc"), 403);
  // What is no URL changes nothing, as in OvenMediaEngine.
  for (const none of [
    "in/cam",
    "http://asking.example.com",
    "http://asking.example.com/in",
    "ws://asking.example.com/a b/c",
  ]) {
    assert.equal(await given(none, "llhls"), unchanged, none);
  }
});
