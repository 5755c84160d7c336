// What viewers of a whole node reach over TLS: LL-HLS by curl over both versions of HTTP, and WebRTC's signalling.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { WebSocket } from "ws";
import { makeCertificate } from "../test/support/certificate.ts";
import { whepOffer } from "../test/support/whep-viewer.ts";
import { parseServerXml } from "./config/parse-server-xml.ts";
import { silentLogger } from "./flow/logger.ts";
import { startNode, type RunningNode } from "./node.ts";
import { systemClock } from "./time/clock.ts";

const run = promisify(execFile);
const clip = new URL("../infra/laptop/loop.mp4", import.meta.url).pathname;

const xml = (tls: string, http2 = "true"): string => `<Server version="8"><Type>edge</Type><IP>127.0.0.1</IP>
<Modules><HTTP2><Enable>${http2}</Enable></HTTP2></Modules>
<Managers><Host><Names><Name>*</Name></Names>${tls}</Host><API><AccessToken>token</AccessToken></API></Managers>
<Bind><Managers><API><TLSPort>0</TLSPort></API></Managers><Publishers><LLHLS><TLSPort>0</TLSPort></LLHLS>
<WebRTC><Signalling><TLSPort>0</TLSPort></Signalling><IceCandidates><IceCandidate>*:0/udp</IceCandidate></IceCandidates></WebRTC>
</Publishers></Bind>
<VirtualHosts><VirtualHost><Name>default</Name><Host><Names><Name>*</Name></Names>${tls}</Host>
<Origins><Origin><Location>/app/cam</Location><Pass><Scheme>file</Scheme><Urls><Url>${clip}</Url></Urls></Pass></Origin></Origins>
<Applications><Application><Name>app</Name><Type>live</Type><Publishers><WebRTC/>
<LLHLS><ChunkDuration>0.2</ChunkDuration><SegmentDuration>2</SegmentDuration></LLHLS></Publishers></Application></Applications>
</VirtualHost></VirtualHosts></Server>`;

async function start(text: string): Promise<RunningNode> {
  const readConfig = () => parseServerXml(text, { path: "Server.xml", env: {} });
  const { config, problems } = readConfig();
  assert.ok(config, JSON.stringify(problems));
  return startNode({ config, readConfig, env: {}, clock: systemClock, logger: silentLogger });
}

async function startSecure(t: TestContext): Promise<{ node: RunningNode; folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), "hearth-doors-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const { certPath, keyPath } = makeCertificate(folder, "edge.example.com");
  const node = await start(xml(`<TLS><CertPath>${certPath}</CertPath><KeyPath>${keyPath}</KeyPath></TLS>`));
  t.after(() => node.close({ code: "test" }));
  return { node, folder };
}

test(
  "curl reads playlists and parts over HTTP/2 and HTTP/1.1, ranges and heads too",
  { timeout: 60_000 },
  async (t) => {
    const { node } = await startSecure(t);
    assert.equal(node.url, node.tlsUrl);
    const base = `${node.tlsUrl}/app/cam`;
    const curl = async (...args: string[]): Promise<string> =>
      (await run("curl", ["-sk", "--max-time", "15", ...args], { maxBuffer: 16_000_000 })).stdout;
    const master = await curl("--http2", "-w", "\n%{http_version} %{http_code}", `${base}/llhls.m3u8`);
    assert.match(master, /\n2 200$/);
    const playlist = /^chunklist_\S+/m.exec(master)![0];
    const segment = /^seg_\S+/m.exec(await curl("--http1.1", `${base}/${playlist}`))![0];
    for (const version of ["--http2", "--http1.1"]) {
      const info = "%{http_version} %{http_code} %{size_download} %{content_type}";
      const whole = await curl(version, "-o", "/dev/null", "-w", info, `${base}/${segment}`);
      assert.match(whole, version === "--http2" ? /^2 200 \d{4,} video\/mp4/ : /^1.1 200 \d{4,} video\/mp4/);
      const range = ["-r", "100-199", "-o", "/dev/null", "-w", "%{http_code} %{size_download}"];
      assert.equal(await curl(version, ...range, `${base}/${segment}`), "206 100");
      const head = await curl(version, "-I", "-H", "Origin: null", `${base}/${segment}`);
      assert.match(head, /access-control-allow-origin: \*/i);
      assert.match(head, new RegExp(`content-length: ${whole.split(" ")[2]}`, "i"));
      const preflight = await curl(version, "-i", "-X", "OPTIONS", "-H", "Origin: null", `${base}/${playlist}`);
      assert.match(preflight, /^HTTP\/(1\.1|2) 204 [^]*access-control-allow-methods: OPTIONS, GET, HEAD/i);
    }
  },
);

test(
  "CrossDomains holds for all that a port answers: playlists, WHEP, and names that nobody has",
  { timeout: 30_000 },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "hearth-doors-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const { certPath, keyPath } = makeCertificate(folder, "edge.example.com");
    const defaults = "<Defaults><CrossDomains><Url>https://page.example.com</Url></CrossDomains></Defaults>";
    const tls = `<TLS><CertPath>${certPath}</CertPath><KeyPath>${keyPath}</KeyPath></TLS>`;
    const text = xml(tls).replace("<Bind>", `${defaults}<Bind>`).replaceAll("TLSPort", "Port");
    const node = await start(text);
    t.after(() => node.close({ code: "test" }));
    const ask = async (method: string, path: string, origin: string, body?: string) => {
      const headers = { origin, "content-type": "application/sdp" };
      const answer = await fetch(`${node.url}${path}`, { method, headers, ...(body !== undefined && { body }) });
      await answer.arrayBuffer();
      const of = (name: string): string | null => answer.headers.get(name);
      return { status: answer.status, allowed: of("access-control-allow-origin"), of };
    };
    const page = "https://page.example.com";
    for (const [method, path, status] of [
      ["GET", "/app/cam/llhls.m3u8", 200],
      ["OPTIONS", "/app/cam/llhls.m3u8", 204],
      ["OPTIONS", "/app/cam/whep", 204],
      ["DELETE", "/app/cam/whep-nobody", 404],
      ["GET", "/app/none/llhls.m3u8", 404],
      ["OPTIONS", "/app/none/llhls.m3u8", 204],
      ["GET", "/other/cam/llhls.m3u8", 404],
      ["OPTIONS", "/other/cam/llhls.m3u8", 204],
      ["OPTIONS", "/", 204],
    ] as const) {
      const listed = await ask(method, path, page);
      assert.deepEqual([listed.status, listed.allowed], [status, page], `${method} ${path}`);
      assert.equal((await ask(method, path, "https://other.example.com")).allowed, null, `${method} ${path}`);
    }
    const fingerprint = Array.from({ length: 32 }, () => "AB").join(":");
    const offer = whepOffer({ ufrag: "abcd", pwd: "a".repeat(24), fingerprint });
    const created = await ask("POST", "/app/cam/whep", page, offer);
    const session = created.of("location");
    assert.ok(created.status === 201 && session !== null, `${created.status}`);
    assert.match(created.of("access-control-expose-headers")!, /\bLocation\b/);
    const { pathname } = new URL(session, node.url);
    assert.match((await ask("OPTIONS", pathname, page)).of("access-control-allow-methods")!, /\bDELETE\b/);
    assert.equal((await ask("DELETE", pathname, page)).status, 200);
  },
);

test("OvenMediaEngine's signalling is reached by wss, on the same port", { timeout: 30_000 }, async (t) => {
  const { node } = await startSecure(t);
  const socket = new WebSocket(`${node.tlsUrl!.replace("https", "wss")}/app/cam`, { rejectUnauthorized: false });
  await once(socket, "open");
  socket.send(JSON.stringify({ command: "request_offer" }));
  const [message] = await once(socket, "message");
  assert.equal(JSON.parse(String(message)).command, "offer");
  socket.close();
});

test("certificates are read again on request", { timeout: 30_000 }, async (t) => {
  const { node, folder } = await startSecure(t);
  const shown = async (): Promise<string> => (await run("curl", ["-vsk", `${node.tlsUrl}/-/health`])).stderr;
  assert.match(await shown(), /CN=edge\.example\.com/);
  rmSync(join(folder, "edge.example.com.crt"));
  assert.match(node.reloadCertificates().join(), /edge\.example\.com\.crt cannot be read/);
  assert.match(await shown(), /CN=edge\.example\.com/);
  assert.equal((await node.reload("a test"))!.isTaken, false);
  makeCertificate(folder, "edge.example.com");
  assert.deepEqual(node.reloadCertificates(), []);
  makeCertificate(folder, "other.example.com");
  for (const kind of ["crt", "key"]) {
    renameSync(join(folder, `other.example.com.${kind}`), join(folder, `edge.example.com.${kind}`));
  }
  assert.equal((await node.reload("a test"))!.isTaken, true);
  assert.match(await shown(), /CN=other\.example\.com/);
  const basic = `Authorization: Basic ${Buffer.from("token").toString("base64")}`;
  const api = ["-vsk", "-H", basic, `https://127.0.0.1:${node.apiPorts[0]}/v1/vhosts`];
  const { stdout, stderr } = await run("curl", api);
  assert.match(stderr, /CN=other\.example\.com/);
  assert.deepEqual((JSON.parse(stdout) as { response: string[] }).response, ["default"]);
});

test("a TLS port without a certificate is a mistake with a remedy", async () => {
  await assert.rejects(start(xml("")), { name: "SettingError", message: /add Host\/TLS with CertPath and KeyPath/ });
});

test(
  "certificates that were never there leave their virtual host without TLS, and others with theirs",
  { timeout: 30_000 },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), "hearth-doors-"));
    t.after(() => rmSync(folder, { recursive: true }));
    const certificate = (name: string): string =>
      `<TLS><CertPath>${folder}/${name}.crt</CertPath><KeyPath>${folder}/${name}.key</KeyPath></TLS>`;
    const applications =
      "<Applications><Application><Name>*</Name><Type>live</Type><Publishers><LLHLS/></Publishers></Application></Applications>";
    const vhost = (name: string): string =>
      `<VirtualHost><Name>${name}</Name><Host><Names><Name>${name}</Name></Names>${certificate(name)}</Host>${applications}</VirtualHost>`;
    const text = (names: string[]): string => `<Server version="8"><Type>edge</Type><IP>127.0.0.1</IP><Bind><Publishers>
<LLHLS><Port>0</Port><TLSPort>0</TLSPort></LLHLS></Publishers></Bind><VirtualHosts>${names.map(vhost).join("")}</VirtualHosts></Server>`;
    const plain = await start(text(["a.example.com"]));
    t.after(() => plain.close({ code: "test" }));
    assert.equal(plain.tlsUrl, undefined);
    assert.equal((await fetch(`${plain.url}/-/livez`)).status, 200);

    makeCertificate(folder, "b.example.com");
    const both = await start(text(["a.example.com", "b.example.com"]));
    t.after(() => both.close({ code: "test" }));
    const shown = async (name: string): Promise<string> => {
      const { port } = new URL(both.tlsUrl!);
      const args = ["-vsk", "--connect-to", `::127.0.0.1:${port}`, `https://${name}:${port}/-/livez`];
      return /CN=(\S+)/.exec((await run("curl", args)).stderr)![1]!;
    };
    assert.equal(await shown("a.example.com"), "b.example.com");
    makeCertificate(folder, "a.example.com");
    assert.equal((await both.reload("a test"))!.isTaken, true);
    assert.deepEqual([await shown("a.example.com"), await shown("b.example.com")], ["a.example.com", "b.example.com"]);
  },
);
