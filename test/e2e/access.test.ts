// Who may watch, and for how long, is said by a control server: asked once for each viewer, told when the viewer is gone, and obeyed
// in the middle of a session, by WebRTC as by LL-HLS.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { WebSocket } from "ws";
import { repository } from "../support/command.ts";
import { HlsViewer } from "../support/hls-viewer.ts";
import { startReloadNode } from "../support/reload-node.ts";
import { until } from "../support/until.ts";
import { playOnce, WhepViewer } from "../support/whep-viewer.ts";

/** What the control server was asked or told. */
interface Asked {
  readonly atMs: number;
  readonly client: { readonly address: string; readonly real_ip: string };
  readonly request: { readonly status: string; readonly protocol: string; readonly url: string };
}

const lifetimeMs = 2_000;

const webhooks = (control: string): string => `<AdmissionWebhooks><ControlServerUrl>${control}</ControlServerUrl>
  <SecretKey>shared</SecretKey><Timeout>3000</Timeout><Enables><Publishers>webrtc,llhls</Publishers></Enables></AdmissionWebhooks>`;

const signedPolicy = `<SignedPolicy><PolicyQueryKeyName>policy</PolicyQueryKeyName>
  <SignatureQueryKeyName>signature</SignatureQueryKeyName><SecretKey>shared</SecretKey>
  <Enables><Publishers>webrtc,llhls</Publishers></Enables></SignedPolicy>`;

const serverXml = (guard: string, trusted: string): string =>
  `<Server version="8"><Type>edge</Type><IP>127.0.0.1</IP>
  <Hearth ignore="true"><OperatorPort>0</OperatorPort>${trusted}
  <AdvertisedAddresses><Address>127.0.0.1</Address></AdvertisedAddresses></Hearth>
  <Bind><Publishers><LLHLS><Port>0</Port></LLHLS><WebRTC><Signalling><Port>0</Port></Signalling>
  <IceCandidates><IceCandidate>*:0/udp</IceCandidate></IceCandidates></WebRTC></Publishers></Bind>
  <VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names></Host>
  ${guard}
  <Origins><Origin><Location>/app/stream</Location><Pass><Scheme>file</Scheme><Urls>
  <Url>${join(repository, "infra/laptop/loop.mp4")}</Url></Urls></Pass></Origin></Origins>
  <Applications><Application><Name>app</Name><Type>live</Type><Publishers><WebRTC/>
  <LLHLS><ChunkDuration>0.2</ChunkDuration><SegmentDuration>1</SegmentDuration></LLHLS></Publishers></Application>
  </Applications></VirtualHost></VirtualHosts></Server>`;

test("a control server lets viewers in for a while, is told when they are gone, and sees addresses that are true", async (t) => {
  const asked: Asked[] = [];
  const control = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (text: string) => (body += text));
    request.on("end", () => {
      const signature = createHmac("sha1", "shared").update(body).digest("base64url");
      assert.equal(request.headers["x-ome-signature"], signature);
      const said = JSON.parse(body) as Omit<Asked, "atMs">;
      asked.push({ ...said, atMs: performance.now() });
      const isOpening = said.request.status === "opening";
      response.end(isOpening ? JSON.stringify({ allowed: true, lifetime: lifetimeMs }) : "{}");
    });
  }).listen(0, "127.0.0.1");
  await once(control, "listening");
  t.after(() => control.close());
  const url = `http://127.0.0.1:${(control.address() as AddressInfo).port}/admission`;
  await using running = await startReloadNode(serverXml(webhooks(url), ""));
  const { node, write } = running;

  const whep = new WhepViewer(`${node.url}/app/stream/whep`);
  const hls = new HlsViewer(`${node.url}/app/stream/llhls.m3u8`);
  try {
    await until("both watch", 20_000, () => whep.node !== undefined && hls.node !== undefined);
    const of = (protocol: string, status: string): Asked[] =>
      asked.filter(({ request }) => request.protocol === protocol && request.status === status);
    for (const protocol of ["WebRTC", "LLHLS"]) {
      await until(`${protocol} ends with its time`, 15_000, () => of(protocol, "closing").length > 0);
      const [opening] = of(protocol, "opening");
      const [closing] = of(protocol, "closing");
      const lastedMs = closing!.atMs - opening!.atMs;
      assert.ok(lastedMs >= lifetimeMs * 0.95, `${protocol} ended after ${lastedMs} ms`);
      assert.match(opening!.request.url, /\/app\/stream/);
    }
    // Players that go on ask anew, and are let in anew.
    await until("both were let in again", 10_000, () => whep.nodes.length >= 2 && of("LLHLS", "opening").length >= 2);
    assert.match(hls.failures[0] ?? "", /^401 /);
  } finally {
    await Promise.all([whep.close(), hls.close()]);
  }

  const seenAs = async (): Promise<string> => {
    const before = asked.length;
    await (await fetch(`${node.url}/app/stream/llhls.m3u8`, { headers: { "X-Forwarded-For": "203.0.113.9" } })).text();
    return asked.slice(before).find(({ request }) => request.status === "opening")!.client.real_ip;
  };
  assert.equal(await seenAs(), "127.0.0.1", "anybody can write a header");
  write(serverXml(webhooks(url), "<TrustedProxies><Proxy>127.0.0.1</Proxy></TrustedProxies>"));
  assert.equal((await node.reload("test"))?.isTaken, true);
  assert.equal(await seenAs(), "203.0.113.9");
});

test("a policy's end ends who watches by signalling, WHEP and LL-HLS, and not before; its URL is good for who began", async (t) => {
  await using running = await startReloadNode(serverXml(signedPolicy, ""));
  const { host } = new URL(running.node.url!);
  const beginMs = Date.now() + 2_500;
  const endMs = Date.now() + 5_000;
  const policy = Buffer.from(JSON.stringify({ url_expire: beginMs, stream_expire: endMs })).toString("base64url");
  const signed = (scheme: string, path: string): string => {
    const url = `${scheme}://${host}${path}?policy=${policy}`;
    return `${url}&signature=${createHmac("sha1", "shared").update(url).digest("base64url")}`;
  };
  const statusOf = async (url: string): Promise<number> => {
    const answer = await fetch(url);
    await answer.arrayBuffer();
    return answer.status;
  };
  const master = signed("http", "/app/stream/llhls.m3u8");
  const list = new URL(/^chunklist_\S+/m.exec(await (await fetch(master)).text())![0], master).href;
  await using whep = await playOnce(signed("http", "/app/stream/whep"));
  const socket = new WebSocket(signed("ws", "/app/stream"));
  t.after(() => socket.terminate());
  const said: unknown[] = [];
  socket.on("message", (data: Buffer) => said.push(JSON.parse(data.toString())));
  const closed = once(socket, "close").then(([code]: number[]) => ({ code, atMs: Date.now() }));
  await once(socket, "open");
  socket.send(JSON.stringify({ command: "request_offer" }));
  await until("an offer", 10_000, () => said.length > 0);
  await until("the URL to run out", 10_000, () => Date.now() > beginMs);
  assert.equal(await statusOf(master), 401, "nobody begins with it any more");
  assert.equal(await statusOf(list), 200);
  assert.deepEqual([whep.transport.dtlsStatus, socket.readyState], ["connected", WebSocket.OPEN]);
  const [hlsMs, whepMs, { code, atMs }] = await Promise.all([
    until("LL-HLS to end", 10_000, async () => ((await statusOf(list)) === 401 ? Date.now() : undefined)),
    until("WHEP to end", 10_000, () => (whep.transport.dtlsStatus === "connected" ? undefined : Date.now())),
    closed,
  ]);
  t.diagnostic(
    `after the policy's end: LL-HLS ${hlsMs - endMs} ms, WHEP ${whepMs - endMs} ms, signalling ${atMs - endMs} ms`,
  );
  assert.ok(Math.min(whepMs, atMs) >= endMs && hlsMs > endMs - 1_000, "the end of a token is a whole second");
  assert.equal(code, 1008);
  assert.deepEqual(said.at(-1), { code: 401, error: "The time to watch is over" });
});
